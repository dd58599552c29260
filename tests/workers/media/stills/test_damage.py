"""Damage that decoders pass over is heard, and what is whole is not suspected."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from db.errors import InputError
from db.settings import Settings
from workers.media.stills import damage
from workers.media.stills import files as stills

MOST_UNHEARD = 0.35
"""Of flipped runs of bytes in a JPEG: those that happen to be codes again, with as many blocks."""


def _picture(seed: int = 1) -> NDArray[Any]:
    """Blocks of colour with a little noise, ``(160, 240, 3)``."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 248, (10, 15, 3)), np.ones((16, 16, 1)))
    return (blocks + rng.integers(0, 8, (160, 240, 3))).astype(np.uint8)


def _jpeg(mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_picture()).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def _with_rubbish(body: bytes, at: int, rng: np.random.Generator, count: int = 64) -> bytes:
    # Rubbish without marks: what a mark does is another matter.
    return body[:at] + rng.integers(0, 255, count).astype(np.uint8).tobytes() + body[at + count :]


def _read(path: Path, **more: Any) -> stills.Photo:
    return stills.read(path, Settings(home=path.parent), **more)


JPEGS: list[tuple[str, dict[str, Any]]] = [
    ("RGB", {}), ("RGB", {"progressive": True}), ("RGB", {"subsampling": 0, "quality": 95}), ("L", {}), ("CMYK", {}),
    ("RGB", {"restart_marker_rows": 1}), ("RGB", {"icc_profile": b"x" * 70000, "comment": b"a street"}),
    ("RGB", {"keep_rgb": True}),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "options"), JPEGS)
def test_rubbish_in_a_jpeg_is_heard_and_a_whole_one_is_not_suspected(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    path, body, rng = tmp_path / "a.jpg", _jpeg(mode, **options), np.random.default_rng(3)
    path.write_bytes(body)
    assert damage.heard(path, "jpeg") == ""
    start, unheard = body.rindex(b"\xff\xda") + 20, 0
    for at in rng.integers(start, len(body) - 80, 20):
        path.write_bytes(_with_rubbish(body, int(at), rng))
        unheard += damage.heard(path, "jpeg") == ""
    assert unheard <= MOST_UNHEARD * 20


def test_damage_ends_the_still_with_its_row_or_is_noted_where_it_is_accepted(tmp_path: Path) -> None:
    body = _jpeg()
    (tmp_path / "a.jpg").write_bytes(_with_rubbish(body, len(body) // 2, np.random.default_rng(5), 400))
    with pytest.raises(InputError, match=r"Corrupt JPEG data.*, noticed in row \d+") as caught:
        _read(tmp_path / "a.jpg")
    assert caught.value.code == "CORRUPT"
    assert "accept_damaged" in caught.value.remedy
    photo = _read(tmp_path / "a.jpg", accept_damaged=True)
    assert any(note.startswith("CORRUPT: the file is damaged (Corrupt JPEG data") for note in photo.notes)


@pytest.mark.parametrize("fill", [b"\0" * 40, b"\0", b"U" * 500])
def test_fill_bytes_before_the_end_are_no_damage(tmp_path: Path, fill: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg()[:-2] + fill + b"\xff\xd9")
    assert not _read(tmp_path / "a.jpg").notes


def test_fill_bytes_in_the_first_of_two_pictures_are_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg()[:-2] + bytes(40) + b"\xff\xd9" + _jpeg(quality=40))
    assert damage.heard(tmp_path / "a.jpg", "jpeg") == ""


def test_a_header_that_libjpeg_frowns_at_does_not_hide_damage(tmp_path: Path) -> None:
    body = _jpeg().replace(b"JFIF\0\1", b"JFIF\0\7")
    (tmp_path / "a.jpg").write_bytes(body)
    assert not _read(tmp_path / "a.jpg").notes
    (tmp_path / "a.jpg").write_bytes(_with_rubbish(body, len(body) // 2, np.random.default_rng(5), 400))
    assert damage.heard(tmp_path / "a.jpg", "jpeg").startswith("Corrupt JPEG data")


def test_what_stands_behind_a_jpeg_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg() + b"a maker's own trailer")
    assert not _read(tmp_path / "a.jpg").notes


# -- TIFF


def _fax(path: Path, compression: str, tables: int = 0) -> None:
    picture = Image.fromarray(_picture()).convert("1")
    picture.save(path, compression=compression, tiffinfo={292: tables} if tables else {})


TIFFS: dict[str, Any] = {
    "zip in strips": lambda path: tifffile.imwrite(path, _picture(), compression="zlib", rowsperstrip=32),
    "zip in tiles": lambda path: tifffile.imwrite(path, _picture(), compression="zlib", tile=(32, 32)),
    "zip, predicted": lambda path: tifffile.imwrite(path, _picture(), compression="zlib", predictor=True),
    "jpeg": lambda path: Image.fromarray(_picture()).save(path, compression="jpeg"),
    "group 3": lambda path: _fax(path, "group3"),
    "group 3 of two dimensions": lambda path: _fax(path, "group3", 1),
    "group 4": lambda path: _fax(path, "group4"),
}


@pytest.mark.parametrize("name", TIFFS)
def test_rubbish_in_a_tiff_is_heard_and_a_whole_one_is_not_suspected(tmp_path: Path, name: str) -> None:
    path, rng = tmp_path / "a.tif", np.random.default_rng(4)
    TIFFS[name](path)
    assert not _read(path).notes
    with tifffile.TiffFile(path) as file:
        starts, sizes = file.pages.first.dataoffsets, file.pages.first.databytecounts
    body, unheard = path.read_bytes(), 0
    for _ in range(20):
        part = int(rng.integers(len(starts)))
        at = starts[part] + int(rng.integers(sizes[part] // 10, sizes[part] * 8 // 10))
        path.write_bytes(_with_rubbish(body, at, rng, 16))
        try:
            unheard += not _read(path).notes
        except InputError as error:
            assert error.code in {"CORRUPT", "TRUNCATED"}  # noqa: PT017
    assert unheard <= (MOST_UNHEARD * 20 if "group" in name or name == "jpeg" else 0)


@pytest.mark.parametrize("compression", ["group3", "group4"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", [1, 2])
def test_whole_faxes_of_either_sense_are_not_suspected(
    tmp_path: Path, compression: str, photometric: int, order: int
) -> None:
    picture = Image.fromarray(_picture()).convert("1")
    picture.save(tmp_path / "a.tif", compression=compression, tiffinfo={266: order, 262: photometric, 278: 32})
    assert damage.heard(tmp_path / "a.tif", "tiff") == ""


def test_damage_of_a_later_page_is_heard_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for seed in range(3):
            file.write(_picture(seed), compression="zlib", rowsperstrip=32, photometric="rgb")
    with tifffile.TiffFile(path) as file:
        at = file.pages[2].dataoffsets[1] + 300
    path.write_bytes(_with_rubbish(path.read_bytes(), at, np.random.default_rng(1)))
    assert [bool(damage.heard(path, "tiff", page)) for page in range(3)] == [False, False, True]
    assert damage.heard(path, "tiff", 2).endswith("in the part that begins with row 32")


# -- what is left of a damaged file


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "ppm", "jpg"])
def test_of_a_file_that_is_cut_off_the_rest_is_restored_with_a_note_where_that_is_accepted(
    tmp_path: Path, suffix: str
) -> None:
    path, picture = tmp_path / f"a.{suffix}", Image.fromarray(_picture())
    if suffix == "tif":  # with its directory in front
        tifffile.imwrite(path, _picture(), rowsperstrip=16, metadata=None)
    else:
        (picture.quantize() if suffix == "gif" else picture).save(path, **({"interlace": 0} if suffix == "gif" else {}))
    whole, body = _read(path).samples, path.read_bytes()
    path.write_bytes(body[: len(body) * 2 // 3])
    with pytest.raises(InputError) as caught:
        _read(path)
    assert caught.value.code == "TRUNCATED"
    photo = _read(path, accept_damaged=True)
    assert any(note.startswith("TRUNCATED: the file is damaged (") for note in photo.notes)
    part = slice(80, 140) if suffix == "bmp" else slice(0, 60)  # which begins at the bottom
    assert np.array_equal(photo.samples[part], whole[part])


def test_a_webp_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    Image.fromarray(_picture()).save(tmp_path / "a.webp")
    body = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(body[: len(body) * 2 // 3])
    with pytest.raises(InputError) as caught:
        _read(tmp_path / "a.webp")
    assert caught.value.code == "TRUNCATED"


def test_what_of_a_picture_is_black_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _picture(), compression="zlib", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path) as file:
        at = file.pages.first.dataoffsets[4] + 100
    path.write_bytes(_with_rubbish(path.read_bytes(), at, np.random.default_rng(1)))
    photo = _read(path, accept_damaged=True)
    assert any("10 % is black" in note for note in photo.notes)
    assert not photo.samples[64:80].any()
    assert np.array_equal(np.delete(photo.samples, slice(64, 80), 0), np.delete(_picture(), slice(64, 80), 0))
