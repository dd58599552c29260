"""Commands try the places that they write to before any work, and look at a home that may only be read."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from db import progress, session
from db.errors import InputError, OutageError
from db.placing import LIST_NAME
from db.session import Database
from db.settings import Settings, load
from db.store import open_store
from orchestrator import cli
from orchestrator.cli.places import check_workplaces
from orchestrator.exit_codes import BAD_INPUT, OK, REFUSED, UNAVAILABLE, exit_code
from tests.support import servers
from tests.support.finished import finish
from tests.support.humble import as_nobody, open_folder


def say(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = cli.run(["--json", *map(str, words)])
    shown = capsys.readouterr()
    assert shown.err == ""
    return code, json.loads(shown.out.splitlines()[-1] if code else shown.out)


@pytest.mark.parametrize("place", ["file", "file/deeper", "dangling", "x" * 300])
@pytest.mark.parametrize(
    "words",
    [
        "run {archive} --out {place}",
        "get --out {place}",
        "get --bag --out {place}",
        "pack {archive} {place}",
        "train lite-unet {archive} --out {place}",
        "evaluate 1 {archive} --out {place}/figures.json",
        "compare {archive}/a.jpg --models identity --out {place}/sheet.png",
        "--home {place} run {archive}",
        "--home {place} submit {archive}",
        "--home {place} db upgrade",
        "--home {place} models add {archive}",
        "--home {place} tokens add somebody",
        "--home {place} orchestrate",
        "--home {place} worker",
        "--home {place} serve --port 0",
        "--home {place} restore {archive}",
        "backup {place}",
        "db copy --to {place}",
    ],
)
def test_a_place_that_cannot_be_is_said_at_once(
    at_home: Any, archive: Path, capsys: pytest.CaptureFixture[str], settings: Settings, tmp_path: Path, words: str,
    place: str,
) -> None:  # fmt: skip
    at_home("submit", archive / "m.csv")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    home = [] if "--home" in words else ["--home", settings.home]
    code, refused = say(capsys, *home, *words.format(archive=archive, place=tmp_path / place).split())
    assert (code, refused["error"]["code"]) == (BAD_INPUT, "PATH_UNUSABLE")
    assert str(tmp_path / place)[:100] in refused["error"]["message"]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", [".", "res", "deep/er"])
def test_results_among_the_sources_are_refused_before_there_is_a_job(
    at_home: Any, archive: Path, home_database: Database, place: str
) -> None:
    before = sorted(archive.iterdir())
    code, refused = at_home("run", archive, "--recipe", "identity", "--out", archive / place)
    assert (code, refused["error"]["code"]) == (BAD_INPUT, "OUTPUT_ON_SOURCE")
    assert progress.jobs(home_database) == []
    assert sorted(archive.iterdir()) == before


@pytest.mark.parametrize("what", ["scratch", "store_uri"])
def test_a_file_in_the_place_of_a_folder_for_work_is_said_with_its_setting(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("x")
    settings = load({"home": tmp_path / "home", what: str(tmp_path / "file" / "deeper")})
    with pytest.raises(InputError, match="is no folder") as caught:
        check_workplaces(settings)
    assert f"the setting {what}" in caught.value.remedy


def test_folders_that_are_not_there_yet_are_no_problem(tmp_path: Path) -> None:
    check_workplaces(Settings(home=tmp_path, scratch=tmp_path / "a" / "b", store_uri=f"file://{tmp_path}/c"))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def foreign_home(archive: Path) -> Iterator[Path]:
    """Give a home with a finished item that another user owns."""
    with open_folder() as folder:
        home = folder / "home"
        assert cli.run(["--home", str(home), "submit", str(archive / "m.csv")]) == 0
        blob = open_store(Settings(home=home)).put_bytes("jobs/1/one/s.png", b"restored")
        with session.open_database(Settings(home=home)) as database:
            finish(database, 1, "one", {"still": blob})
        for path in [home, *home.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield home


LOOKING = [
    "status", "status 1", "failures", "get --item one --out {out}", "verify --no-decode", "models list", "tokens list",
    "db check", "get --item one --premis --out {out}", "get --bag --item one --out {out}-bag",
]  # fmt: skip


@pytest.mark.parametrize("words", LOOKING)
def test_in_a_home_that_may_only_be_read_is_looked(
    archive: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with foreign_home(archive) as home:
        # As whoever may do all first: what is imported then may be closed to others.
        assert cli.run(["--home", str(home), *words.format(out=home.parent / "first").split()]) == OK
        capsys.readouterr()
        (home / LIST_NAME).unlink(missing_ok=True)
        with as_nobody():
            code, said = say(capsys, "--home", home, *words.format(out=home.parent / "out").split())
        assert code == OK, said
        assert not (home / LIST_NAME).exists()


@pytest.mark.parametrize(
    "words",
    [
        "run --job 1", "submit {archive}/m.csv", "rerun 1", "pause 1", "cancel 1", "priority 1 3", "db upgrade",
        "tokens add me", "orchestrate", "worker", "serve --port 0",
    ],
)  # fmt: skip
def test_what_writes_there_says_so_and_names_the_home(
    archive: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with foreign_home(archive) as home:
        cli.run([*words.split()[:1], "--help"])
        capsys.readouterr()
        before = sorted(home.rglob("*"))
        with as_nobody():
            code, refused = say(capsys, "--home", home, *words.format(archive=archive).split())
        assert (code, refused["error"]["code"]) == (REFUSED, "HOME_READ_ONLY")
        assert str(home) in refused["error"]["message"]
        assert sorted(home.rglob("*")) == before


def test_a_disk_that_takes_no_more_half_way_leaves_nothing_of_a_bag(
    archive: Path, at_home: Any, settings: Settings, tmp_path: Path
) -> None:
    at_home("submit", archive / "m.csv")
    blob = open_store(settings).put_bytes("jobs/1/one/s.png", bytes(100_000))
    with session.open_database(settings) as database:
        finish(database, 1, "one", {"still": blob})
    before, there = resource.getrlimit(resource.RLIMIT_FSIZE), sorted(tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        code, refused = at_home("get", 1, "--bag", "--out", tmp_path / "bag")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, refused["error"]["code"]) == (UNAVAILABLE, "NO_SPACE")
    assert "another place with --out" in refused["error"]["remedy"]
    assert sorted(tmp_path.iterdir()) == there


def test_a_bucket_that_takes_nothing_is_named_before_any_work(tmp_path: Path) -> None:
    with servers.s3("--read-only") as server:
        (server.folder / "bucket").mkdir()
        with pytest.raises(OutageError, match="s3://bucket/archive") as caught:
            check_workplaces(Settings(home=tmp_path, store_uri="s3://bucket/archive", **server.settings))
        assert exit_code(caught.value) == UNAVAILABLE
    with servers.s3() as server:
        check_workplaces(Settings(home=tmp_path, store_uri="s3://bucket/archive", **server.settings))
        assert [path.name for path in server.folder.rglob("*")] == ["bucket"]
