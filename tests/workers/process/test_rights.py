from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.local_paths import spell
from db.records import Source
from db.settings import Settings
from db.states import ItemKind
from db.store import open_store
from workers.process.rights import source_mode
from workers.workbench import Workbench


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def still(path: Path, **more: str) -> Source:
    return Source(uri=str(path), kind=ItemKind.STILL, **more)  # type: ignore[arg-type]


def file_with(path: Path, mode: int) -> Path:
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("mode", "result"), [(0o600, 0o400), (0o640, 0o440), (0o644, 0o444), (0o200, 0o400)])
def test_a_result_is_no_wider_than_its_source(tmp_path: Path, mode: int, result: int) -> None:
    assert source_mode(still(file_with(tmp_path / "a.png", mode))) == result


def test_names_that_are_no_text_change_nothing(tmp_path: Path) -> None:
    path = file_with(tmp_path / "caf\udce9.png", 0o640)
    assert source_mode(still(Path("x")).model_copy(update={"uri": spell(str(path))})) == 0o440


def test_every_file_of_a_sequence_counts_and_so_does_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir(mode=0o755)
    for number in range(3):
        file_with(folder / f"{number}.png", 0o644)
    sequence = Source(uri=str(folder), kind=ItemKind.REEL)
    assert source_mode(sequence) == 0o444
    file_with(folder / "3.png", 0o640)
    os.utime(folder, ns=(1, 1))
    assert source_mode(sequence) == 0o440
    folder.chmod(0o700)
    assert source_mode(sequence) == 0o400


def test_sound_and_masks_count(tmp_path: Path) -> None:
    picture, closed = file_with(tmp_path / "a.png", 0o644), file_with(tmp_path / "b", 0o600)
    assert source_mode(still(picture, sound=str(closed))) == 0o400
    assert source_mode(still(picture, mask=str(closed))) == 0o400
    assert source_mode(Source(uri="s3://bucket/a.png", kind=ItemKind.STILL)) == 0o444


@pytest.mark.parametrize(("umask", "mode", "result"), [(0o022, 0o400, 0o400), (0o077, 0o444, 0o400), (0, 0o444, 0o444)])
def test_blobs_are_as_closed_as_they_should_be(tmp_path: Path, umask: int, mode: int, result: int) -> None:
    os.umask(umask)
    store = open_store(Settings(home=tmp_path / "home"))
    bench = Workbench(store, tmp_path, Settings(), "jobs/1", mode=mode)
    (tmp_path / "made").write_bytes(b"x")
    for blob in (bench.put("one", tmp_path / "made"), bench.put_bytes("two", b"x")):
        path = store.local_path(blob.key)
        assert path is not None
        assert path.stat().st_mode & 0o777 == result
