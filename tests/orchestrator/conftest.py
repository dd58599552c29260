"""A home with a database of its own, and a small archive to submit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.session import Database
from db.settings import Settings, make_home
from orchestrator import cli


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", bundle_stills=3)


@pytest.fixture
def home_database(settings: Settings, empty_database: Path) -> Iterator[Database]:
    make_home(settings)
    shutil.copy(empty_database, settings.home)
    with session.open_database(settings) as database:
        yield database


@pytest.fixture
def at_home(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in the test's home with ``--json``; give back its exit code and its document."""

    def command(*words: object) -> tuple[int, Any]:
        code = cli.run(["--home", str(settings.home), "--json", *map(str, words)])
        shown = capsys.readouterr()
        assert shown.err == ""
        return code, json.loads(shown.out)

    return command


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with two stills, a film that is none, an empty file, and a manifest that names one file too many."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("a.jpg", "b.png", "film.mkv"):
        (folder / name).write_bytes(name.encode())
    (folder / "empty.jpg").write_bytes(b"")
    lines = [
        "id,uri,title,fps",
        "one,a.jpg,First,",
        "two,b.png,,",
        "reel,film.mkv,,18",
        "void,empty.jpg,,",
        "gone,c.jpg,,",
    ]
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder
