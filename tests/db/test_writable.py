"""Places that cannot be written to are told apart before any work, and nothing is left of the trial."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from pathlib import Path

import pytest

from db.errors import DiskFull, InputError, ReelwrightError
from db.settings import Settings, make_home
from db.writable import check_writable, check_writable_file
from tests.support.humble import as_nobody, open_folder


def refusal(folder: Path) -> ReelwrightError:
    with pytest.raises(ReelwrightError) as caught:
        check_writable(folder, "--out")
    return caught.value


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "is no folder"),
        ("file/deeper/still", "is no folder"),
        ("dangling", "is a link that leads nowhere"),
        ("dangling/deeper", "is a link that leads nowhere"),
        ("loop", "is a link that leads nowhere"),
        ("x" * 300, "takes no names as long as that"),
        ("new/" + "x" * 300, "takes no names as long as that"),
        ("/dev/null", "is no folder"),
        ("/dev/full/deeper", "is no folder"),
        pytest.param("/proc/new", "takes no files", marks=pytest.mark.skipif(not os.path.exists("/proc/1"), reason="")),
    ],
)
def test_what_stands_in_the_way_is_named_and_what_to_do(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    error = refusal(tmp_path / place)
    assert (type(error), error.code) == (InputError, "PATH_UNUSABLE")
    assert why in error.message
    assert str(tmp_path / place)[:100] in error.message
    assert "--out" in error.remedy
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", ["s3://bucket/results", "file:///results", "https://server/results"])
def test_an_address_is_not_taken_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    error = refusal(Path(place))
    assert (error.code, "it is an address" in error.message) == ("PATH_UNUSABLE", True)
    assert "another place with --out" in error.remedy
    assert not list(tmp_path.iterdir())
    (tmp_path / place.partition("/")[0]).mkdir()  # whoever has a folder of that name means it
    check_writable(Path(place), "--out")


@pytest.mark.parametrize("place", [".", "new", "new/deeper/../still", "file/../new", "link", "link/new"])
def test_of_a_place_that_will_do_nothing_is_said_and_nothing_is_left(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").mkdir()
    (tmp_path / "link").symlink_to("folder")
    check_writable(tmp_path / place, "--out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "link"]


@pytest.mark.parametrize("place", ["", "new/deeper"])
def test_who_may_not_write_hears_it(place: str) -> None:
    with open_folder() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o755)
        if os.geteuid() != 0:
            closed.chmod(0o555)
        with as_nobody():
            error = refusal(closed / place)
        assert "may not be written to by this user" in error.message
        assert error.code == "PATH_UNUSABLE"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_want_of_room_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    error = refusal(tmp_path)
    assert (type(error), error.code) == (DiskFull, "NO_SPACE")
    assert "has no room left" in error.message
    assert "with --out" in error.remedy


def test_a_limit_on_the_size_of_files_is_told_too(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        error = refusal(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (error.code, "takes no files as large as that" in error.message) == ("NO_SPACE", True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_put_where_a_folder_stands_nor_under_a_name_that_is_too_long(tmp_path: Path) -> None:
    check_writable_file(tmp_path / "new" / "sheet.png", "--out")
    for name, why in [("", "is a folder"), ("x" * 300, "takes no names as long as that")]:
        with pytest.raises(InputError, match=why):
            check_writable_file(tmp_path / name, "--out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/deeper", "dangling", "x" * 300])
def test_a_home_that_cannot_be_says_why(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InputError, match="Nothing can be written to") as caught:
        make_home(Settings(home=tmp_path / place))
    assert (caught.value.code, "--home" in caught.value.remedy) == ("PATH_UNUSABLE", True)
