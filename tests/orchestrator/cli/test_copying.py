"""What the commands that carry an installation elsewhere say, and how they exit."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.scratch import scratch_folder
from db.settings import Settings
from db.store import open_store
from orchestrator import cli
from orchestrator.embedded import lock_home
from orchestrator.exit_codes import BAD_INPUT, FAILURES, OK, REFUSED
from tests.support.finished import finish


def say(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = cli.run(["--json", *map(str, words)])
    shown = capsys.readouterr()
    assert shown.err == ""
    return code, json.loads(shown.out)


def _make_home(home: Path, archive: Path) -> Path:
    """Make a home with a job of which one photo is done."""
    assert cli.run(["--home", str(home), "submit", str(archive / "m.csv")]) == OK
    blob = open_store(Settings(home=home)).put_bytes("jobs/1/one/s.png", b"restored")
    with session.open_database(Settings(home=home)) as database:
        finish(database, 1, "one", {"still": blob})
    return home


@pytest.fixture
def home(tmp_path: Path, archive: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = _make_home(tmp_path / "home", archive)
    capsys.readouterr()
    return made


def _jobs(capsys: pytest.CaptureFixture[str], home: Path) -> Any:
    code, said = say(capsys, "--home", home, "status")
    assert code == OK
    return said


def test_a_backup_and_what_is_restored_of_it_are_counted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, first = say(capsys, "--home", home, "backup", tmp_path / "b")
    assert (code, first["tables"]["jobs"]["rows"], first["blobs"]["there"]) == (OK, 1, 0)
    code, second = say(capsys, "--home", home, "backup", tmp_path / "b", "--check")
    assert (code, second["blobs"]["copied"], second["blobs"]["there"]) == (OK, 0, first["blobs"]["copied"])
    code, back = say(capsys, "--home", tmp_path / "new", "restore", tmp_path / "b")
    assert (code, back) == (OK, first)
    assert _jobs(capsys, tmp_path / "new") == _jobs(capsys, home)
    code, _ = say(capsys, "--home", tmp_path / "new", "verify", 1, "--no-decode")
    assert code == say(capsys, "--home", home, "verify", 1, "--no-decode")[0]


def test_what_a_backup_lacks_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = next(path for path in (home / "store").rglob("*.*") if path.is_file())
    lost.unlink()
    code, said = say(capsys, "--home", home, "backup", tmp_path / "b")
    assert (code, list(said["blobs"]["lacking"])) == (FAILURES, [str(lost.relative_to(home / "store"))])
    assert cli.run(["--home", str(home), "backup", str(tmp_path / "c")]) == FAILURES
    assert "Lacking: result 1's outputs: Blob jobs/" in capsys.readouterr().out


def test_a_home_is_copied_to_a_home_once(
    home: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        code, said = say(capsys, "--home", home, "db", "copy", "--to", tmp_path / "new")
        assert (code, said["tables"]["jobs"]["rows"]) == (OK, 1)
    _make_home(tmp_path / "used", archive)
    capsys.readouterr()
    code, said = say(capsys, "--home", home, "db", "copy", "--to", tmp_path / "used")
    assert (code, said["error"]["code"]) == (REFUSED, "TARGET_IN_USE")


def test_a_home_that_is_worked_in_is_not_copied_but_backed_up(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_home(home):
        code, said = say(capsys, "--home", home, "db", "copy", "--to", tmp_path / "new")
        assert (code, said["error"]["code"]) == (REFUSED, "HOME_IN_USE")
        assert say(capsys, "--home", home, "backup", tmp_path / "b")[0] == OK


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("db copy --to mysql://x/y", "BAD_SETTING"),
        ("db copy --to /proc/new", "PATH_UNUSABLE"),
        ("backup /proc/backup", "PATH_UNUSABLE"),
        ("backup {folder}/home", "PATH_UNUSABLE"),
        ("backup {folder}/home/backup", "PATH_UNUSABLE"),
        ("backup {folder}/link/store/backup", "PATH_UNUSABLE"),
        ("backup {folder}/other", "PATH_UNUSABLE"),
        ("restore {folder}", "FILE_MISSING"),
        ("restore {folder}/none", "FILE_MISSING"),
    ],
)
def test_bad_places_are_refused(
    words: str, code: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "new" if words.startswith("restore") else home
    (tmp_path / "link").symlink_to(home)
    open_store(Settings(home=tmp_path / "other")).put_bytes("jobs/1/a", b"a")
    with session.open_database(Settings(home=tmp_path / "other")) as other:
        session.upgrade(other)
    exit_code, said = say(capsys, "--home", where, *words.format(folder=tmp_path).split())
    assert (exit_code, said["error"]["code"]) == (BAD_INPUT, code)


def test_nothing_is_copied_into_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = say(capsys, "--home", home, "db", "copy", "--to", f"{home}/../{home.name}")
    assert (code, said["error"]["code"]) == (REFUSED, "TARGET_IN_USE")


def test_two_backups_are_not_made_in_one_folder_at_once(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = say(capsys, "--home", home, "backup", tmp_path / "b")
    held = os.open(tmp_path / "b" / "store", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    before = (tmp_path / "b" / "backup.db").read_bytes()
    code, said = say(capsys, "--home", home, "backup", tmp_path / "b")
    assert (code, said["error"]["code"]) == (REFUSED, "TARGET_IN_USE")
    assert (tmp_path / "b" / "backup.db").read_bytes() == before
    os.close(held)
    assert say(capsys, "--home", home, "backup", tmp_path / "b")[0] == first[0]


def test_nothing_is_restored_into_a_home_that_is_worked_in(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(capsys, "--home", home, "backup", tmp_path / "b")
    (tmp_path / "new").mkdir()
    with lock_home(tmp_path / "new"):
        code, said = say(capsys, "--home", tmp_path / "new", "restore", tmp_path / "b")
    assert (code, said["error"]["code"]) == (REFUSED, "HOME_IN_USE")
    assert say(capsys, "--home", tmp_path / "new", "restore", tmp_path / "b")[0] == OK


def test_what_killed_ones_left_is_removed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup, new = tmp_path / "b", tmp_path / "new"
    for place, store, words in (
        (backup, backup / "store", ("--home", home, "backup", backup)),
        (new / "scratch", new / "store", ("--home", new, "restore", backup)),
    ):
        say(capsys, *words)
        with scratch_folder(place, "copy") as folder:
            pass
        folder.mkdir()  # nobody holds it
        (folder / "backup.db").write_bytes(b"rows")
        part = store / "jobs" / ".0123456789abcdef.part"
        part.write_bytes(b"half a bl")
        assert say(capsys, *words)[0] == OK
        assert not folder.exists()
        assert not part.exists()
