from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from db.errors import InputError, TransientError
from db.settings import Settings
from tests.support.reels import House, film, house, item, moving, probed, whole_life
from workers.media.errors import writing
from workers.tasks import disk_space


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def _reel(folder: Path, frames: int) -> Path:
    return film(folder / f"{frames}.mkv", moving(frames, 48, 64), "gray")


def test_a_reel_that_fits_its_quota_is_restored_and_a_longer_one_is_told_before_work_starts(tmp_path: Path) -> None:
    short, long = _reel(tmp_path, 16), _reel(tmp_path, 128)
    at = house(tmp_path, scratch_quota_bytes=int(2.5 * short.stat().st_size))
    assert whole_life(at, item(short))[1].frames == 16
    with pytest.raises(InputError) as refused:
        probed(at, item(long))
    assert refused.value.code == "NO_SPACE"
    assert "The reel of 128 frames needs about 0." in refused.value.message
    assert "quota is" in refused.value.message


def _claimed(folder: Path, path: Path, recipe: str = "[]") -> int:
    """Scratch bytes that the probe of a reel claims."""
    at = house(folder, scratch_quota_bytes=1)
    with pytest.raises(InputError) as refused:
        probed(at, item(path, recipe))
    assert refused.value.code == "NO_SPACE"
    return round(float(refused.value.message.split("about ")[1].split(" MB")[0]) * 1e6)


def test_what_is_claimed_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, work = _reel(tmp_path, 64), tmp_path / "work"
    largest: list[int] = []

    def watched(frames: int) -> None:
        largest.append(max((disk_space._folder_bytes(folder) for folder in work.glob("scratch-*")), default=0))

    bench = House.bench
    monkeypatch.setattr(House, "bench", lambda self, report=None: bench(self, watched))
    whole_life(house(work), item(path), 16)
    assert 0 < max(largest) <= _claimed(tmp_path, path)


@pytest.mark.parametrize(("recipe", "larger"), [("[{upscale: {scale: 2}}]", 4), ("[{colorize: {model: eccv16}}]", 3)])
def test_larger_and_coloured_frames_need_more(tmp_path: Path, recipe: str, larger: int) -> None:
    path = _reel(tmp_path, 64)
    assert _claimed(tmp_path, path, recipe) == pytest.approx(larger * _claimed(tmp_path, path), rel=0.1)


def test_an_access_copy_that_loses_less_needs_more_and_never_more_than_its_master(tmp_path: Path) -> None:
    path = _reel(tmp_path, 64)
    settings = ("", ", access: {crf: 30}", ", access: {crf: 12}", ", access: {crf: 0}")
    plain, small, larger, largest = (_claimed(tmp_path, path, f"{{recipe: []{each}}}") for each in settings)
    assert plain == small
    assert larger == pytest.approx(plain * 1.5 / 1.25, rel=0.02)
    assert largest == pytest.approx(plain * 2 / 1.25, rel=0.02)


def test_a_spanned_or_damaged_reel_needs_room_for_its_copy(tmp_path: Path) -> None:
    path = _reel(tmp_path, 64)
    at = house(tmp_path, scratch_quota_bytes=path.stat().st_size // 4)
    with pytest.raises(InputError, match="A lossless copy of the reel's 40 frames needs about"):
        probed(at, item(path, span=(0, 40)))


@pytest.mark.parametrize("full", ["scratch", "store"])
def test_a_full_disk_is_told_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    at, path = house(tmp_path), _reel(tmp_path, 32)

    def usage(folder: Any) -> _Usage:
        scratch = "scratch" in str(folder)
        return _Usage(1, 1, disk_space.RESERVE_BYTES + (1000 if scratch == (full == "scratch") else 10**12))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(InputError) as refused:
        probed(at, item(path))
    assert refused.value.code == "NO_SPACE"
    assert ("of scratch space" if full == "scratch" else "of the store") in refused.value.message


def test_work_that_outgrows_its_quota_ends(tmp_path: Path) -> None:
    moved: list[int] = []
    watch = disk_space.SpaceWatch(tmp_path, 1000, moved.append)
    watch(3)
    assert moved == [3]
    (tmp_path / "large").write_bytes(bytes(2000))
    watch._looked_at = float("-inf")
    with pytest.raises(InputError) as refused:
        watch(1)
    assert refused.value.code == "NO_SPACE"
    assert moved == [3]


def test_a_disk_that_others_fill_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: _Usage(1, 1, 1000))
    with pytest.raises(TransientError) as waits:
        disk_space.SpaceWatch(tmp_path, 0, lambda frames: None)(1)
    assert waits.value.code == "NO_SPACE"


def test_writing_onto_a_full_disk_is_named_as_that() -> None:
    with pytest.raises(TransientError) as waits, writing("master.mkv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert waits.value.code == "NO_SPACE"


def test_a_quota_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="scratch_quota_bytes"):
        Settings(scratch_quota_bytes=-1)
