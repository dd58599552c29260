"""What `prune` and `status --store` say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.settings import Settings
from db.store import open_store
from orchestrator import cli
from orchestrator.exit_codes import BAD_INPUT, OK
from tests.support.finished import finish


def say(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = cli.run(["--json", *map(str, words)])
    shown = capsys.readouterr()
    assert shown.err == ""
    return code, json.loads(shown.out)


@pytest.fixture
def home(tmp_path: Path, archive: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A home with a cancelled job of which one photo is done; an old log, a new one, and a blob that nobody needs."""
    made = tmp_path / "home"
    assert cli.run(["--home", str(made), "submit", str(archive / "m.csv")]) == OK
    store = open_store(Settings(home=made))
    blob = store.put_bytes("jobs/1/items/1/g1/restore/t1-a1-w/s.png", b"restored")
    store.put_bytes("jobs/1/items/1/g1/restore/t1-a2-w/s.png", b"twice")
    with session.open_database(Settings(home=made)) as database:
        finish(database, 1, "one", {"still": blob})
    assert cli.run(["--home", str(made), "cancel", "1"]) == OK
    for log in (made / "logs").iterdir():
        log.unlink()
    for name, age_seconds in (("old.log", 7200), ("new.log", 0)):
        (made / "logs" / name).write_text("log")
        status = (made / "logs" / name).stat()
        os.utime(made / "logs" / name, (status.st_atime, status.st_mtime - age_seconds))
    capsys.readouterr()
    return made


def test_what_takes_room_is_said_by_what_it_is_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = say(capsys, "--home", home, "status", "--store")
    assert (code, said) == (
        OK, {"results": {"blobs": 1, "bytes": 8}, "nobody's": {"blobs": 1, "bytes": 5}},
    )  # fmt: skip
    assert cli.run(["--home", str(home), "status", "--store"]) == OK
    assert capsys.readouterr().out.splitlines()[1].split() == ["results", "1", "8", "8", "bytes"]


def test_what_would_go_is_what_goes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--home", home, "prune", "--older-than", "0m", "--state", "cancelled"
    code, would = say(capsys, *words, "--dry-run")
    assert (code, would["blobs"], would["logs"]["blobs"] >= 2) == (OK, {"blobs": 1, "bytes": 5}, True)
    assert say(capsys, "--home", home, "status", "--store")[1]["nobody's"]["blobs"] == 1
    code, did = say(capsys, *words)
    assert (code, did | {"logs": would["logs"]}) == (OK, would | {"dry_run": False})
    assert list(say(capsys, "--home", home, "status", "--store")[1]) == ["results"]
    assert not (home / "store/jobs/1/items/1/g1/restore/t1-a2-w").exists()
    assert not {"old.log", "new.log"} & set(os.listdir(home / "logs"))


def test_what_is_younger_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = say(capsys, "--home", home, "prune", "--older-than", "1h")
    assert (code, said["jobs"], said["blobs"]["blobs"], said["logs"]["blobs"]) == (OK, 0, 0, 1)
    assert "old.log" not in os.listdir(home / "logs")
    assert "new.log" in os.listdir(home / "logs")


@pytest.mark.parametrize("words", ["--older-than 90", "--older-than -1d", "--older-than 1d --state running"])
def test_bad_rules_are_refused(home: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    code, said = say(capsys, "--home", home, "prune", *words.split())
    assert (code, "--" in said["error"]["message"]) == (BAD_INPUT, True)
