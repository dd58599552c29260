"""What lies beneath the roots is opened, and nothing else, whatever lies at its path by then."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from db import beneath
from db.beneath import OutsideRoots
from db.errors import InputError
from tests.support.descriptors import open_below


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"mine")
    (tmp_path / "in-2").mkdir()
    (tmp_path / "in-2" / "s.png").write_bytes(b"secret")
    return folder


def _read(path: Path, *roots: Path) -> bytes:
    with open(beneath.open_file(str(path), beneath.real_roots(map(str, roots))), "rb") as file:
        return file.read()


def _refusal(path: Path, root: Path) -> str:
    try:
        _read(path, root)
    except OSError as error:
        return beneath.source_error(str(path), error).code
    return ""


def test_a_file_beneath_a_root_is_read(inside: Path) -> None:
    assert _read(inside / "a.png", inside) == b"mine"
    assert _read(inside / "a.png", Path("/")) == b"mine"
    assert _read(inside / "a.png", inside / "a.png") == b"mine"


def test_links_count_where_they_lead(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "also").symlink_to(inside)
    (inside / "within.png").symlink_to("a.png")
    (inside / "out.png").symlink_to(tmp_path / "in-2" / "s.png")
    (inside / "far").symlink_to(tmp_path / "in-2")
    assert _read(inside / "within.png", inside) == b"mine"
    assert _read(tmp_path / "also" / "a.png", inside) == b"mine"
    assert _read(inside / "a.png", tmp_path / "also") == b"mine"  # the root itself may be a link
    for path in (inside / "out.png", inside / "far" / "s.png", tmp_path / "in-2" / "s.png"):
        with pytest.raises(OutsideRoots):
            _read(path, inside)
        assert _read(path, inside, tmp_path / "in-2") == b"secret"


def test_what_is_held_stays_what_it_was(inside: Path, tmp_path: Path) -> None:
    held = beneath.open_file(str(inside / "a.png"), beneath.real_roots((str(inside),)))
    inside.rename(tmp_path / "away")
    (tmp_path / "in-2").rename(inside)
    (inside / "s.png").rename(inside / "a.png")
    assert Path(beneath.path_of(held)).read_bytes() == b"mine"
    os.close(held)


def test_only_regular_files_are_read_and_nothing_is_waited_for(inside: Path) -> None:
    os.mkfifo(inside / "pipe")
    (inside / "folder").mkdir()
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(inside / "socket"))
    for name in ("pipe", "folder", "socket"):
        assert _refusal(inside / name, inside) == "NOT_A_FILE"
    bound.close()
    assert _refusal(Path("/dev/zero"), Path("/")) == "NOT_A_FILE"


def test_a_small_file_is_read_whole_and_a_long_one_not_at_all(inside: Path) -> None:
    (inside / "small").write_bytes(b"12345")
    assert beneath.read_small(inside / "small", 5) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        beneath.read_small(inside / "small", 4)
    os.mkfifo(inside / "pipe")
    for path in (inside / "pipe", Path("/dev/zero"), inside):
        with pytest.raises(OSError, match="not a regular file"):
            beneath.read_small(path, 5)


@pytest.mark.parametrize("name", ["gone.png", "a.png/b.png", "nul\0.png"])
def test_what_is_not_there_is_missing(inside: Path, name: str) -> None:
    assert _refusal(inside / name, inside) == "FILE_MISSING"


def test_a_link_to_itself_and_a_long_name_are_refused_by_name(inside: Path) -> None:
    (inside / "l.png").symlink_to("l.png")
    for name in ("l.png", "x" * 300):
        assert _refusal(inside / name, inside) == "SOURCE_DENIED"


def test_no_descriptor_is_left(inside: Path, tmp_path: Path) -> None:
    roots = beneath.real_roots((str(inside),))
    for path in (inside, inside / "a.png", tmp_path / "in-2", tmp_path / "in-2" / "s.png", inside / "gone"):
        for ask in (beneath.status, beneath.file_names, beneath.open_file):
            try:
                found = ask(str(path), roots)
            except OSError:
                continue
            if isinstance(found, int):
                os.close(found)
    assert open_below(tmp_path) == 0


def test_a_folder_tells_its_files(inside: Path, tmp_path: Path) -> None:
    (inside / "folder").mkdir()
    (inside / "link.png").symlink_to("a.png")
    roots = beneath.real_roots((str(inside),))
    assert beneath.file_names(str(inside), roots) == {"a.png", "link.png"}
    assert stat.S_ISDIR(beneath.status(str(inside), roots).st_mode)
    with pytest.raises(OutsideRoots):
        beneath.file_names(str(tmp_path), roots)


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("s3://bucket/a/b.png", True),
        ("s3://bucket/a", True),
        ("s3://bucket/ab/c.png", False),
        ("s3://bucket/a/../c.png", False),
        ("s3://bucket/a/./c.png", False),
        ("s3://bucket-2/a/b.png", False),
        ("s3://other/a/b.png", False),
        ("/bucket/a/b.png", False),
    ],
)
def test_an_address_lies_beneath_its_prefix(uri: str, allowed: bool) -> None:
    assert beneath.is_beneath(uri, beneath.real_roots(("s3://bucket/a",))) is allowed
    assert beneath.is_beneath(uri, beneath.real_roots(("/",))) is not uri.startswith("s3://")


def test_an_address_of_another_kind_is_no_root() -> None:
    for root in ("gs://bucket", "http://host/x", "s3://bucket://"):
        with pytest.raises(InputError) as caught:
            beneath.real_roots((root,))
        assert caught.value.code == "BAD_SETTING"
