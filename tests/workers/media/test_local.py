"""Sources are held beneath their roots, and read under a name that leads to what was held."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from db import beneath
from db.errors import InputError
from tests.support.descriptors import open_below
from workers.media import local


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    for name in ("in", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(b"mine")
    (tmp_path / "s.tif").write_bytes(b"secret")
    return tmp_path / "in"


def _hold(path: Path, inside: Path) -> local.HeldFile:
    return local.hold(path, beneath.real_roots((str(inside),)), inside.parent / "scratch")


def test_it_is_shown_as_the_source_and_opens_what_was_held(inside: Path) -> None:
    held = _hold(inside / "a.tif", inside)
    (inside / "a.tif").unlink()
    (inside / "a.tif").symlink_to(inside.parent / "s.tif")
    assert f"{held}" == str(inside / "a.tif")
    assert (held.name, held.suffix, held.read_bytes()) == ("a.tif", ".tif", b"mine")
    with open(os.fspath(held), "rb") as file:  # as libraries do
        assert file.read() == b"mine"
    with pytest.raises(InputError) as caught:
        _hold(inside / "a.tif", inside)
    assert caught.value.code == "PATH_UNSAFE"


def test_it_lets_go_when_nobody_keeps_it(inside: Path) -> None:
    kept = _hold(inside / "a.tif", inside)
    assert open_below(inside) == 1
    for _ in range(5):
        assert _hold(inside / "a.tif", inside).stat().st_size == 4
    del kept
    gc.collect()
    assert open_below(inside) == 0
    assert os.listdir(inside.parent / "scratch") == []


def test_every_file_of_a_folder_is_held_by_itself(inside: Path) -> None:
    (inside / "b.tif").symlink_to(inside.parent / "s.tif")
    folder = local.LocalFolder(inside, beneath.real_roots((str(inside),)), inside.parent / "scratch")
    assert folder.names() == {"a.tif", "b.tif"}
    assert folder.bytes_of(["a.tif"]) == 4
    assert folder.file("a.tif").read_bytes() == b"mine"
    for ask in (lambda: folder.file("b.tif"), lambda: folder.bytes_of(["b.tif"])):
        with pytest.raises(InputError) as caught:
            ask()
        assert caught.value.code == "PATH_UNSAFE"


def test_a_folder_that_is_none_or_lies_elsewhere_is_refused(inside: Path, tmp_path: Path) -> None:
    for path, code in ((inside / "a.tif", "FILE_MISSING"), (inside / "x", "FILE_MISSING"), (tmp_path, "PATH_UNSAFE")):
        with pytest.raises(InputError) as caught:
            local.LocalFolder(path, beneath.real_roots((str(inside),)), tmp_path / "scratch")
        assert caught.value.code == code


def test_a_name_that_is_no_text_is_given_libraries_as_text_and_shown_as_it_is_spelled(inside: Path) -> None:
    (inside / "caf\udce9\n.tif").write_bytes(b"odd")
    held = _hold(inside / "caf\udce9\n.tif", inside)
    assert f"{held}" == f"file://{inside}/caf%E9%0A.tif"
    assert os.fspath(held).isprintable()
    assert (held.suffix, held.read_bytes()) == (".tif", b"odd")
    long = inside / ("\udcff" * 240 + ".tif")
    long.write_bytes(b"long")
    assert (_hold(long, inside).suffix, _hold(long, inside).read_bytes()) == (".tif", b"long")
    with pytest.raises(InputError) as caught:
        _hold(inside / "gone\udcff", inside)
    assert (caught.value.code, "gone%FF" in caught.value.message) == ("FILE_MISSING", True)
