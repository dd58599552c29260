"""Lossless JPEG and JPEG-LS: held to CharLS, libjpeg-turbo and lj92, which wrote them."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from db.errors import InputError
from db.settings import Settings
from db.states import ItemKind
from tests.support import sequences
from tests.support.reels import house, item
from workers.media.stills import files as stills
from workers.tasks.restore_still import restore_still

Samples = NDArray[Any]
# By CharLS 2.4, which imagecodecs calls for 8 and 16 bits alone.
LS_OF_5_BITS = base64.b64decode("/9j/9wALBQAJAAsBAREA/9oACAEBAAAAAJt7/dJSXSX/S/9f/36vt1f+X/L/2Q==")
LS_OF_12_BITS = base64.b64decode(
    "/9j/9wALDAAJAAsBAREA/9oACAEBAAAAAIA9gH0nZNybk1JmS9F6LR0HZ6PJ4O52Oh0OYdh2cjibzebjabDWajyejSaDOZjKYzGYjCeTyYC8Xi6XC2Wi"
    "yWDweCuViqVCmUiiUCcdzuTiaTCWSSSSCORjsdiIRCGQiCQH99fTqdXx7enh4d3Z1dANIP/Z"
)
LS_BY_PLANE = base64.b64decode(
    "/9j/9wARCAAJAAsDAREAAhEAAxEA/9oACAEBAAAAAIUVYq0/u2zJtKpmv9E/+3/2/2T/a/8v/P/aAAgBAgAAAACFFWKtP7tiCKR2JthBNtJKlKqqqQiq"
    "/zv/TP9RP/t/8P/aAAgBAwAAAACFFWKtP7thhmKR2ZmGbbaSSMSSqqUVVVSCqqrwf/gf/gf/QP/Z"
)


def _wave(bits: int, channels: int = 1, height: int = 60, width: int = 70) -> Samples:
    """A picture with a little noise, of all the range, ``(H, W)`` or ``(H, W, 3)``."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(bits).uniform(-0.01, 0.01, (height, width, channels))
    wave = 0.5 + 0.48 * np.sin(rows / 9)[..., None] * np.cos(columns / np.pi)[..., None] + noise
    samples = np.rint(wave.clip(0, 1) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    return samples[..., 0] if channels == 1 else samples


def _ramp(bits: int, *slopes: int) -> Samples:
    planes = [np.add.outer(np.arange(9) * 3 * slope, np.arange(11) * 7) for slope in slopes]
    if len(slopes) == 3:
        return (np.stack(planes, axis=2) % 251).astype(np.uint8)
    ramp = (planes[0] * 2**bits // 100).clip(0, 2**bits - 1)
    ramp[-1, -1] = 2**bits - 1
    return ramp.astype(np.uint16)


def _lossless(samples: Samples, bits: int, predictor: int = 1) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits))


def _ls(samples: Samples) -> bytes:
    return bytes(imagecodecs.jpegls_encode(samples))


def _by_line(samples: Samples) -> bytes:
    coder = av.CodecContext.create("jpegls", "w")
    assert isinstance(coder, av.VideoCodecContext)
    coder.width, coder.height, coder.pix_fmt, coder.time_base = *samples.shape[1::-1], "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(samples, format="rgb24")
    return b"".join(bytes(packet) for packet in (*coder.encode(frame), *coder.encode(None)))


def _read(folder: Path, body: bytes, **options: Any) -> stills.Photo:
    (folder / "a.jpg").write_bytes(body)
    return stills.read(folder / "a.jpg", Settings(home=folder), **options)


GREY: list[tuple[bytes, Samples, int, str]] = [
    *((_lossless(_wave(bits), bits), _wave(bits), bits, "lossless JPEG") for bits in range(9, 17)),
    *((_lossless(_wave(16), 16, predictor), _wave(16), 16, "lossless JPEG") for predictor in range(2, 8)),
    (_lossless(_wave(8), 8, 7), _wave(8), 8, "lossless JPEG"),
    (bytes(imagecodecs.ljpeg_encode(_wave(14), bitspersample=14)), _wave(14), 14, "lossless JPEG"),
    (_ls(_wave(8)), _wave(8), 8, "JPEG-LS"),
    (_ls(_wave(16)), _wave(16), 16, "JPEG-LS"),
    (LS_OF_12_BITS, _ramp(12, 1), 12, "JPEG-LS"),
    (_ls(np.full((5, 1), 255, np.uint8)), np.full((5, 1), 255), 8, "JPEG-LS"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "samples", "bits", "kind"), GREY)
def test_grey_comes_out_to_the_bit_at_its_own_depth(
    tmp_path: Path, body: bytes, samples: Samples, bits: int, kind: str
) -> None:
    photo = _read(tmp_path, body)
    assert (photo.kind, photo.depth_bits, photo.notes) == (kind, bits, ())
    assert np.array_equal(photo.samples[..., 0], samples)
    head = stills.header(tmp_path / "a.jpg", Settings(home=tmp_path))
    assert (head.height, head.width, head.channels, head.depth_bits) == (*photo.samples.shape, bits)


COLOR: list[tuple[bytes, Samples, int]] = [
    *((_lossless(_wave(bits, 3), bits, 4), _wave(bits, 3), bits) for bits in (8, *range(10, 17))),
    (_by_line(_wave(8, 3)), _wave(8, 3), 8),
    (LS_BY_PLANE, _ramp(8, 1, 2, 3), 8),
]


@pytest.mark.parametrize(("body", "samples", "bits"), COLOR)
def test_colour_that_is_known_to_be_rgb_comes_out_to_the_bit(
    tmp_path: Path, body: bytes, samples: Samples, bits: int
) -> None:
    photo = _read(tmp_path, body)
    assert photo.depth_bits == bits
    assert np.array_equal(photo.samples, samples)


RAMP5 = _ramp(5, 1).astype(np.uint8)
FEW = [LS_OF_5_BITS, _lossless(RAMP5, 5), _lossless(np.repeat(RAMP5[..., None], 3, axis=2), 5)]


@pytest.mark.parametrize("body", FEW)
def test_fewer_than_8_bits_are_spread_over_8(tmp_path: Path, body: bytes) -> None:
    photo = _read(tmp_path, body)
    assert (photo.samples == np.rint(RAMP5 * (255 / 31))[..., None]).all()
    assert photo.notes == ("Samples of 0 to 31 were spread over 0 to 255.",)


def _with(body: bytes, mark: int, content: bytes) -> bytes:
    return body[:2] + bytes([0xFF, mark]) + struct.pack(">H", len(content) + 2) + content + body[2:]


LS = _ls(_wave(8))
RARE: list[tuple[bytes, str]] = [
    (_ls(_wave(8, 3)), "JPEG-LS of 8 bits with channels that alternate"),
    (_ls(_wave(16, 3)), "JPEG-LS of 16 bits with three channels"),
    (_with(LS, 0xDD, b"\0\5"), "restart intervals"),
    (_with(LS, 0xF8, b"\2\1\1" + bytes(9)), "a palette"),
    (_with(LS, 0xF8, b"\1\0\x7f" + bytes(8)), "another range of samples"),
    (_with(_by_line(_wave(8, 3)), 0xE8, b"mrfx\1"), "a colour transform"),
    (_lossless(_wave(8, 3), 8).replace(b"Adobe", b"Other"), "colours of which it does not say that they are RGB"),
    (_lossless(_wave(9, 3), 9), "lossless JPEG of 9 bits with three channels"),
    (_lossless(np.array([[0, 32768] * 9] * 9, np.uint16), 16), "differences of 32768"),
]


@pytest.mark.parametrize(("body", "what"), RARE)
def test_what_would_come_out_as_another_picture_is_refused_by_name(tmp_path: Path, body: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        _read(tmp_path, body)
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("preset", [bytes(10), struct.pack(">5H", 255, 3, 7, 21, 64)])
def test_presets_that_change_nothing_are_followed(tmp_path: Path, preset: bytes) -> None:
    assert np.array_equal(_read(tmp_path, _with(LS, 0xF8, b"\1" + preset)).samples[..., 0], _wave(8))


SOUND: list[bytes] = [LS, _ls(_wave(16)), _lossless(_wave(12), 12, 4), _by_line(_wave(8, 3))]


@pytest.mark.parametrize("body", SOUND)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_one_that_is_cut_off_is_heard(tmp_path: Path, body: bytes, share: float) -> None:
    cut = body[: int(len(body) * share)]
    with pytest.raises(InputError) as caught:
        _read(tmp_path, cut)
    assert caught.value.code == "TRUNCATED"
    photo = _read(tmp_path, cut, accept_damaged=True)
    assert photo.notes[0].startswith("TRUNCATED: the file is damaged (")
    assert np.array_equal(photo.samples[0], _read(tmp_path, body).samples[0])


@pytest.mark.parametrize("body", SOUND)
def test_a_block_of_wrong_bytes_is_heard(tmp_path: Path, body: bytes) -> None:
    rng, heard = np.random.default_rng(1), 0
    for _ in range(10):
        at = int(rng.integers(len(body) // 4, len(body) - 400))
        try:
            _read(tmp_path, body[:at] + rng.integers(0, 128, 300, np.uint8).tobytes() + body[at + 300 :])
        except InputError as error:
            heard += error.code == "CORRUPT"
    assert heard >= 8


HEADED = [*SOUND, LS_BY_PLANE, _lossless(_wave(8, 3), 8)]


@pytest.mark.parametrize("body", HEADED)
def test_a_damaged_header_ends_in_a_code(tmp_path: Path, body: bytes) -> None:
    rng, outcomes = np.random.default_rng(1), set()
    for number in range(60):
        made = bytearray(body[: int(rng.integers(3, 120))] if number % 3 == 0 else body)
        for at in rng.integers(2, min(len(made), 100), 2):
            made[at] = rng.integers(256)
        outcomes.add(_outcome(tmp_path, bytes(made)))
    assert "BAD_HEADER" in outcomes


@pytest.mark.parametrize("body", HEADED)
@pytest.mark.parametrize("size", [2, 3])
def test_a_scan_without_a_header_is_named(tmp_path: Path, body: bytes, size: int) -> None:
    at = body.index(b"\xff\xda") + 2
    cut = body[:at] + struct.pack(">H", size) + body[at + 2 :]
    assert _outcome(tmp_path, cut) in {"BAD_HEADER", "TRUNCATED", "CORRUPT"}


def _outcome(folder: Path, body: bytes) -> str:
    try:
        _read(folder, body)
    except InputError as error:
        return error.code if "a.jpg" in error.message else "nameless"
    return "read"


WRITERS: list[tuple[Callable[[Samples], bytes], int, str]] = [
    (_ls, 8, ".png"),
    (_ls, 16, ".tif"),
    (lambda samples: _lossless(samples, 12), 12, ".tif"),
]


@pytest.mark.parametrize(("encode", "bits", "suffix"), WRITERS)
def test_it_is_written_as_png_or_tiff_with_what_lies_beside(
    tmp_path: Path, encode: Callable[[Samples], bytes], bits: int, suffix: str
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:16] + b"GRAY" + profile[20:]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A maker of cameras"
    body = _with(bytes(encode(_wave(bits))), 0xE1, exif.tobytes())
    body = _with(body, 0xE2, b"ICC_PROFILE\0\1\1" + profile)
    (tmp_path / "a.jls").write_bytes(body)
    at = house(tmp_path)
    result = restore_still(item(tmp_path / "a.jls", "[]", kind=ItemKind.STILL), at.bench())
    made = at.path(result.outputs["still"])
    assert made.suffix == suffix
    assert np.array_equal(sequences.read(made, bits if bits == 12 else 0)[..., 0], np.rot90(_wave(bits), -1))
    assert sequences.attribute(made, "Make") == "A maker of cameras"
    assert bytes(np.asarray(sequences.attribute(made, "ICCProfile"), np.uint8)) == profile
    kind = {8: "PNG", 12: "TIFF", 16: "TIFF"}[bits]
    source = "lossless JPEG" if bits == 12 else "JPEG-LS"
    assert result.notes == (f"Written as {kind}: {source} is not written.",)


def test_a_usual_jpeg_is_none(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(_wave(8)).save(stream, "JPEG")
    assert _read(tmp_path, stream.getvalue()).kind == "jpeg"
