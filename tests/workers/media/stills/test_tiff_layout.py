"""TIFF files that are not the picture that their first page shows, or that none can follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from db.errors import InputError
from db.settings import Settings
from tests.support import sequences
from workers.media.stills import files as stills
from workers.media.stills import tiff_layout

SMALL, SENSOR = sequences.samples(1, 3, 8, 12, 16), sequences.samples(2, 1, 16, 48, 64)[..., 0]
CFA, LINEAR_RAW = 32803, 34892


def _read(path: Path) -> stills.Photo:
    return stills.read(path, Settings(home=path.parent))


def _camera_file(path: Path, photometric: Any = CFA, small: int = 1, tags: tuple[Any, ...] = ()) -> Path:
    """A small picture in front, the sensor's samples in a directory beside: as DNG, NEF and ARW have them."""
    names = [(271, "s", 0, "Maker", True), (272, "s", 0, "Model 7", True)]
    with tifffile.TiffWriter(path) as file:
        file.write(SMALL, photometric="rgb", subifds=1, subfiletype=small, extratags=[*names, *tags], metadata=None)
        sensor = np.dstack([SENSOR] * 3) if photometric == LINEAR_RAW else SENSOR
        file.write(sensor, photometric=photometric, subfiletype=0, metadata=None)
    return path


@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
def test_raw_samples_behind_a_small_picture_are_named_with_the_camera(tmp_path: Path, photometric: int) -> None:
    with pytest.raises(InputError, match=r"raw samples of a camera \(Maker Model 7\)") as caught:
        _read(_camera_file(tmp_path / "a.dng", photometric))
    assert caught.value.code == "UNSUPPORTED_PIXELS"
    assert "Develop" in caught.value.remedy


def test_a_dng_is_raw_by_its_version_whatever_its_samples_are_called(tmp_path: Path) -> None:
    version = (50706, "B", 4, (1, 4, 0, 0), True)
    with pytest.raises(InputError, match="raw samples"):
        _read(_camera_file(tmp_path / "a.dng", "minisblack", tags=(version,)))


@pytest.mark.parametrize("code", [32767, 34713, 65000, 65535])
def test_raw_is_known_by_the_makers_compression(tmp_path: Path, code: int) -> None:
    path = _camera_file(tmp_path / "a.nef", "minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.pages[0].tags[259].overwrite(code)
    with pytest.raises(InputError, match="raw samples"):
        _read(path)


@pytest.mark.parametrize("mark", [b"CR\2\0", b"IIII"])
def test_raw_is_known_by_the_makers_mark(tmp_path: Path, mark: bytes) -> None:
    tifffile.imwrite(tmp_path / "a.cr2", SMALL, metadata=None)
    body = (tmp_path / "a.cr2").read_bytes()
    # The first directory goes behind the file, as those makers have it, and their mark comes in its place.
    with tifffile.TiffFile(tmp_path / "a.cr2") as file:
        first, size = file.pages.first.offset, 2 + 12 * len(file.pages.first.tags) + 4
    end = len(body) + len(body) % 2
    moved = body.ljust(end, b"\0") + body[first : first + size]
    (tmp_path / "a.cr2").write_bytes(moved[:4] + end.to_bytes(4, "little") + mark + moved[12:])
    with pytest.raises(InputError, match="raw samples"):
        _read(tmp_path / "a.cr2")


def test_a_small_picture_in_place_of_its_own_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a small picture in place of its own") as caught:
        _read(_camera_file(tmp_path / "a.tif", "minisblack"))
    assert caught.value.code == "UNSUPPORTED_PIXELS"


def test_smaller_copies_beside_a_picture_are_left_out_with_a_note(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SENSOR, photometric="minisblack", subifds=2, metadata=None)
        for step in (2, 4):
            file.write(SENSOR[::step, ::step].copy(), photometric="minisblack", subfiletype=1, metadata=None)
    photo = _read(tmp_path / "a.tif")
    assert np.array_equal(photo.samples[..., 0], SENSOR)
    assert any("left out (2)" in note for note in photo.notes)


def test_a_small_page_in_front_of_a_whole_one_is_a_page_like_others(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SMALL, photometric="rgb", subfiletype=1, metadata=None)
        file.write(SENSOR, photometric="minisblack", metadata=None)
    photo = _read(tmp_path / "a.tif")
    assert (photo.pages, photo.notes) == (2, ())


def test_a_later_page_that_is_not_supported_is_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SMALL, photometric="rgb", metadata=None)
        file.write(SENSOR, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[1].tags[262].overwrite(5)
    first = _read(tmp_path / "a.tif")
    with pytest.raises(InputError, match="page 2: TIFF with 1 samples a pixel") as caught:
        list(stills.pages_of(tmp_path / "a.tif", first, Settings(home=tmp_path), accept_damaged=False))
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("body", [b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(40)])
def test_a_file_that_cannot_be_followed_is_left_to_its_reader(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(body)
    tiff_layout.check(tmp_path / "a.tif")
    assert tiff_layout.inner_pictures(tmp_path / "a.tif") == 0
    with pytest.raises(InputError) as caught:
        _read(tmp_path / "a.tif")
    assert caught.value.code in {"BAD_HEADER", "TRUNCATED", "CORRUPT"}
