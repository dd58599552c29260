"""PNM with its samples as figures: the first picture is read, and what stands behind it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.errors import InputError
from db.settings import Settings
from tests.support import sequences
from workers.media.stills import files as stills


def _read(folder: Path, body: bytes, **options: Any) -> stills.Photo:
    (folder / "a.pnm").write_bytes(body)
    return stills.read(folder / "a.pnm", Settings(home=folder), **options)


def _figures(samples: np.ndarray) -> bytes:
    return b"\n".join(b" ".join(b"%d" % value for value in row) for row in samples.reshape(len(samples), -1))


@pytest.mark.parametrize(("kind", "channels"), [(b"P2", 1), (b"P3", 3)])
@pytest.mark.parametrize("bits", [8, 16])
def test_samples_come_out_as_they_stand_there(tmp_path: Path, kind: bytes, channels: int, bits: int) -> None:
    samples = sequences.samples(1, channels, bits, 7, 5)
    photo = _read(tmp_path, kind + b" # made by hand\n5 7\n# more\n%d\n" % (2**bits - 1) + _figures(samples))
    assert np.array_equal(photo.samples, samples)
    assert (photo.depth_bits, photo.pages, photo.notes) == (bits, 1, ())
    head = stills.header(tmp_path / "a.pnm", Settings(home=tmp_path))
    assert (head.width, head.height, head.channels, head.depth_bits) == (5, 7, channels, bits)


@pytest.mark.parametrize("body", [b"P1\n3 2\n1 0 1\n0 1 0\n", b"P1 3 2 101010", b"P1\n#c\n3\n2 #w\n10#mid\n10\r\n1\t0"])
def test_bits_need_no_blanks_between_them(tmp_path: Path, body: bytes) -> None:
    photo = _read(tmp_path, body)
    assert photo.samples[..., 0].tolist() == [[0, 255, 0], [255, 0, 255]]
    assert photo.notes == ()


@pytest.mark.parametrize("largest", [1, 7, 200, 1000, 4095])
def test_another_range_is_spread_as_in_packed_samples(tmp_path: Path, largest: int) -> None:
    values = np.linspace(0, largest, 97).astype(">u2" if largest > 255 else np.uint8)
    photo = _read(tmp_path, b"P2 97 1 %d " % largest + _figures(values[None]))
    packed = _read(tmp_path, b"P5 97 1 %d\n" % largest + values.tobytes())
    assert np.array_equal(photo.samples, packed.samples)
    assert photo.notes == packed.notes != ()


PICTURE = [b"P1\n3 2\n1 0 1\n0 1 0\n", b"P2\n3 2\n9\n1 0 1\n0 1 0\n", b"P3\n1 2\n9\n1 0 1\n0 1 0\n"]


@pytest.mark.parametrize("body", PICTURE)
@pytest.mark.parametrize("count", [2, 5])
def test_pictures_behind_the_first_are_counted(tmp_path: Path, body: bytes, count: int) -> None:
    alone, photo = _read(tmp_path, body), _read(tmp_path, body * count)
    assert np.array_equal(photo.samples, alone.samples)
    assert (alone.pages, photo.pages) == (1, count)


@pytest.mark.parametrize("body", PICTURE)
@pytest.mark.parametrize("rest", [b"end of scan", b"\0\0\0", b"1 1 1"])
def test_what_stands_behind_the_picture_is_told(tmp_path: Path, body: bytes, rest: bytes) -> None:
    photo = _read(tmp_path, body + rest)
    assert np.array_equal(photo.samples, _read(tmp_path, body).samples)
    assert photo.notes[0] == f"What stands behind the picture was left out ({len(rest)} bytes)."


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"P1 3 2 10101", "TRUNCATED", "it ends behind 5 of 6 samples"),
        (b"P2 3 2 9 1 2", "TRUNCATED", "it ends behind 2 of 6 samples"),
        (b"P2 3 2 9 1 2 3 x 5 6", "CORRUPT", "'x' stands behind 3 of 6 samples"),
        (b"P2 3 2 9 1 2 3 10 5 6", "CORRUPT", "10 stands behind 3 of 6 samples, more than 9"),
        (b"P2 3 2 9 1 2 3 99999999999999999999999 5 6", "CORRUPT", "more than 9"),
        (b"P2 3 2 9 1 2 3\x1b 5 6", "CORRUPT", "byte 27 stands behind 3 of 6 samples"),
        (b"P1 3 2 101P10", "CORRUPT", "'P' stands behind 3 of 6 samples"),
        (b"P1 3 2 101210", "CORRUPT", "2 stands behind 3 of 6 samples, more than 1"),
    ],
)
def test_damage_is_told_by_its_place(tmp_path: Path, body: bytes, code: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        _read(tmp_path, body)
    assert caught.value.code == code
    photo = _read(tmp_path, body, accept_damaged=True)
    assert photo.notes[0].startswith(f"{code}: the file is damaged (")
    assert photo.samples.ravel()[-1] == 0


@pytest.mark.parametrize(
    "body", [b"P1\n3", b"P1\n3 x\n1", b"P1 0 2 1", b"P2 3 2 0 1", b"P2 3 2 65536 1", b"P2 3 2 ", b"P1 " + b"9" * 30]
)
def test_a_header_that_gives_no_size_is_named(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(InputError, match="its header gives no width") as caught:
        _read(tmp_path, body)
    assert caught.value.code == "BAD_HEADER"
