"""Files of a restored sequence, out of tar files that may have been tampered with."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from db.blob import Blob
from db.errors import InputError
from db.placing import Placer
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from orchestrator.results.export import export
from orchestrator.results.sequence_tar import is_part, unpack
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


def _tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            tar.addfile(entry, io.BytesIO(member[1]))
    return made.getvalue()


def _odd(name: str, **values: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(entry, key, value)
    return entry


@contextmanager
def _allowed(target: str) -> Iterator[BinaryIO]:
    """Open files by the one mechanism that puts them anywhere; no place is forbidden."""
    placer = Placer()
    with placer.fresh_name(target) as fresh:
        with open(fresh, "xb") as file:
            yield file
        placer.put(fresh, target)


def _put(store: Store, body: bytes, name: str = "sequence.tar") -> Blob:
    return store.put_bytes(f"jobs/1/x/{name}", body)


def test_sequences_are_taken_out_into_a_folder_named_as_the_item(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    outputs = {
        "master": store.put_bytes("jobs/1/x/master.mkv", b"m"),
        "sequence-000001": _put(store, _tar(("f_0003.dpx", b"three")), "b.tar"),
        "sequence-000000": _put(store, _tar(("f_0001.dpx", b"one"), ("f_0002.dpx", b"two")), "a.tar"),
    }
    finish(home_database, job_id, "reel", outputs)
    for _ in range(2):  # a second export replaces the first
        found = export(home_database, store, job_id, tmp_path / "out")
    assert found.files == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["reel", "reel.mkv"]
    files = {path.name: path.read_bytes() for path in (tmp_path / "out" / "reel").iterdir()}
    assert files == {"f_0001.dpx": b"one", "f_0002.dpx": b"two", "f_0003.dpx": b"three"}


def test_the_folder_may_not_be_a_link_that_leads_away(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    finish(home_database, job_id, "reel", {"sequence-000000": _put(store, _tar(("a.png", b"x")))})
    (tmp_path / "out").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "out" / "reel").symlink_to(tmp_path / "away")
    with pytest.raises(InputError) as caught:
        export(home_database, store, job_id, tmp_path / "out")
    assert caught.value.code == "PATH_UNSAFE"
    assert not list((tmp_path / "away").iterdir())


@pytest.mark.parametrize(
    "member",
    [
        ("../a.png", b"x"), ("/etc/a.png", b"x"), ("sub/a.png", b"x"), ("..", b"x"), ("a\nb.png", b"x"),
        ("c:\\a.png", b"x"), ("n" * 256, b"x"),
        _odd("a.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        _odd("a.png", type=tarfile.LNKTYPE, linkname="b.png"),
        _odd("a.png", type=tarfile.FIFOTYPE), _odd("a.png", type=tarfile.CHRTYPE), _odd("sub", type=tarfile.DIRTYPE),
    ],
)  # fmt: skip
def test_nothing_but_plain_files_with_plain_names_comes_out(store: Store, tmp_path: Path, member: Any) -> None:
    blob = _put(store, _tar(("good.png", b"g"), member))
    with pytest.raises(InputError) as caught:
        unpack(store, blob, str(tmp_path / "out"), _allowed)
    assert caught.value.code == "PATH_UNSAFE"
    assert {path.name for path in tmp_path.rglob("*") if path.is_file() and "home" not in path.parts} == {"good.png"}


def test_a_name_that_comes_twice_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no plain file of its own"):
        unpack(store, _put(store, _tar(("a.png", b"1"), ("a.png", b"2"))), str(tmp_path / "out"), _allowed)


def test_what_is_no_tar_file_or_ends_early_is_refused(store: Store, tmp_path: Path) -> None:
    whole = _tar(("a.png", b"x" * 5000), ("b.png", b"y" * 5000))
    for number, body in enumerate((b"no tar file", whole[:300], whole[:3000], whole[:6200])):
        with pytest.raises(InputError) as caught:
            unpack(store, _put(store, body, f"{number}.tar"), str(tmp_path / "out"), _allowed)
        assert caught.value.code == "CORRUPT"
    assert not list(tmp_path.rglob("*.part"))


def test_a_tar_file_that_was_changed_in_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    blob = _put(store, _tar(("a.png", b"x")))
    path = store.local_path(blob.key)
    assert path is not None
    os.chmod(path, 0o644)
    path.write_bytes(_tar(("a.png", b"y")))
    with pytest.raises(InputError) as caught:
        unpack(store, blob, str(tmp_path / "out"), _allowed)
    assert caught.value.code == "CHECKSUM_MISMATCH"
    assert not (tmp_path / "out").exists()


def test_a_link_in_the_place_of_a_file_is_neither_followed_nor_replaced(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_bytes(b"p")
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError) as caught:
        unpack(store, _put(store, _tar(("a.png", b"x"))), str(tmp_path / "out"), _allowed)
    assert caught.value.code == "ALREADY_THERE"
    assert (tmp_path / "precious").read_bytes() == b"p"
    assert (tmp_path / "out" / "a.png").is_symlink()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_parts_are_known_by_their_names() -> None:
    assert [is_part(name) for name in ("sequence-000000", "sequence-1000000", "sequence", "sequence-1", "scores")] == [
        True, True, False, False, False,
    ]  # fmt: skip
