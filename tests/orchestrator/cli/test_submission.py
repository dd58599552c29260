"""Commands that take in work."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import InputError
from db.settings import Settings
from orchestrator.cli.submission import _check_places


@pytest.mark.parametrize("inside", ["file", "file/deeper/still"])
@pytest.mark.parametrize("what", ["--out", "scratch", "store_uri"])
def test_a_file_in_the_place_of_a_folder_is_said_before_any_work(tmp_path: Path, what: str, inside: str) -> None:
    (tmp_path / "file").write_text("x")
    place = tmp_path / inside
    given = {} if what == "--out" else {what: str(place)}
    with pytest.raises(InputError, match="is no folder") as caught:
        _check_places(Settings(**given), place if what == "--out" else None)
    assert caught.value.code == "PATH_UNUSABLE"
    assert what in caught.value.remedy
    assert str(tmp_path / "file") in caught.value.message


def test_folders_that_are_not_there_yet_are_no_problem(tmp_path: Path) -> None:
    settings = Settings(scratch=tmp_path / "a" / "b", store_uri=f"file://{tmp_path}/c")
    _check_places(settings, tmp_path / "out" / "box")
    assert list(tmp_path.iterdir()) == []
