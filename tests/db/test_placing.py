"""The one mechanism that puts files somewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db import placing
from db.errors import InputError
from db.placing import Placer, PutError


@pytest.fixture
def placer(tmp_path: Path) -> Placer:
    return Placer(tmp_path / "home", sources=lambda: [str(tmp_path / "source"), "/nowhere", "odd\0name"])


def refused(placer: Placer, target: Path, data: bytes = b"new") -> str:
    with pytest.raises(InputError) as caught:
        placer.write(str(target), data)
    assert not list(target.parent.glob(".reelwright-*"))
    return caught.value.code


def test_own_files_are_replaced_also_by_a_later_process(placer: Placer, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    for text in (b"one", b"two", b"two"):
        placer.write(str(target), text)
        assert target.read_bytes() == text
    Placer(tmp_path / "home").write(str(target), b"three")
    assert target.read_bytes() == b"three"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert refused(Placer(tmp_path / "elsewhere"), target) == "ALREADY_THERE"


def test_outputs_of_the_home_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"output")
    digest = placing.file_digest(str(tmp_path / "file"))
    Placer(made=lambda: [digest]).write(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_the_same_bytes_are_left_as_they_are(placer: Placer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"same")
    before = (tmp_path / "file").stat()
    placer.write(str(tmp_path / "file"), b"same")
    after = (tmp_path / "file").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert refused(placer, tmp_path / "file") == "ALREADY_THERE"  # it did not become ours


def test_a_source_is_told_by_its_inode(placer: Placer, tmp_path: Path) -> None:
    placer.write(str(tmp_path / "source"), b"made by us, and then submitted")
    fresh = Placer(tmp_path / "home", sources=lambda: [str(tmp_path / "source")])
    os.link(tmp_path / "source", tmp_path / "SOURCE")
    for name in ("source", "SOURCE"):
        assert refused(fresh, tmp_path / name) == "OUTPUT_ON_SOURCE"
        assert not fresh.remove(str(tmp_path / name))


def test_only_own_files_are_removed(placer: Placer, tmp_path: Path) -> None:
    placer.write(str(tmp_path / "own"), b"own")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    answers = {name: placer.remove(str(tmp_path / name)) for name in ("own", "mine", "link", "nothing")}
    assert answers == {"own": True, "mine": False, "link": False, "nothing": True}
    assert {path.name for path in tmp_path.iterdir()} == {"home", "mine", "link"}


def test_what_comes_in_the_last_moment_stays(placer: Placer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    monkeypatch.setattr(placing.os.path, "lexists", lambda path: False)
    target.write_bytes(b"mine")
    assert refused(placer, target) == "ALREADY_THERE"
    assert target.read_bytes() == b"mine"


def test_on_a_disk_without_links_files_are_renamed(
    placer: Placer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(placing.os, "link", refuse)
    for text in (b"one", b"two"):
        placer.write(str(tmp_path / "file"), text)
        assert (tmp_path / "file").read_bytes() == text


def test_a_file_is_made_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("link", "file"):
        with pytest.raises(FileExistsError):
            placing.create(str(tmp_path / name))
    assert not (tmp_path / "nowhere").exists()


def test_a_place_that_cannot_be_is_an_error_of_what_was_asked(placer: Placer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(InputError) as caught:
        placer.write(str(tmp_path / "file" / "below"), b"new")
    assert caught.value.code == "PATH_UNUSABLE"


def test_rubbish_in_the_list_is_passed_over(placer: Placer, tmp_path: Path) -> None:
    placer.write(str(tmp_path / "file"), b"one")
    with (tmp_path / "home" / placing.LIST_NAME).open("ab") as file:
        file.write(b"\xff\n" + b"z" * 64 + b"\n" + b"0" * 63)
    Placer(tmp_path / "home").write(str(tmp_path / "file"), b"two")
    assert (tmp_path / "file").read_bytes() == b"two"


def test_one_error_speaks_for_several() -> None:
    error = PutError([("a", InputError("first", code="ALREADY_THERE")), ("b", InputError("second"))], 7)
    assert (error.code, error.message, error.outcome) == ("ALREADY_THERE", "a: first; and 1 more", 7)
