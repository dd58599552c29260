"""Lossless JPEG and JPEG-LS by FFmpeg, which gives grey shifted to the top of 8 or 16 bits, and RGB as it is.

Where it gives another picture than CharLS and libjpeg-turbo do, or where nobody could tell, the file is refused by what
is special about it. FFmpeg takes data that end too early or too late without a word, and the formats have no checksum;
but their codes are such that the last sample is made of the last bits. So behind each part of the data other bytes must
change nothing, and in place of its last ones they must change the picture.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from db.errors import CODES, InputError
from workers.media.errors import reading
from workers.media.stills import jpeg_frame
from workers.media.stills.photo import Photo, StillHeader, damage_note, kind_of, upright

LOSSLESS, LS = "lossless JPEG", "JPEG-LS"
_KINDS = {0xC3: LOSSLESS, 0xF7: LS}
_CODECS = {LOSSLESS: "mjpeg", LS: "jpegls"}
_MARKERS = {LOSSLESS: re.compile(rb"\xff[^\x00\xff]"), LS: re.compile(rb"\xff[\x80-\xfe]")}
"""What ends a part of the data: JPEG-LS puts a bit behind each byte of ones, JPEG a byte."""
_FRAMES = frozenset(_KINDS)
_TABLES, _INTERVAL, _PRESETS, _HP, _ADOBE = 0xC4, 0xDD, 0xF8, 0xE8, 0xEE
_SCAN, _END = 0xDA, 0xD9
_BY_SAMPLE = 2
_TAIL_BYTES, _LEAST_TAILED = 4, 16
"""Last bytes of data that are tried, and the least data: of less all may be fill."""
_EXPLORED = b"\x55" * 8


def kind_in(path: Path) -> str:
    """Name the format by the file's first bytes, as ``photo.kind_of``, these two apart from other JPEG."""
    kind = kind_of(path)
    if kind != "jpeg":
        return kind
    with reading(str(path)), path.open("rb") as file:
        found = jpeg_frame.frame(file.read(jpeg_frame.MOST_HEADER_BYTES))
    return _KINDS.get(found[0], kind) if found else kind


def header(path: Path, kind: str) -> StillHeader:
    """Read a header; raises ``InputError`` ``BAD_HEADER`` or ``UNSUPPORTED_PIXELS``."""
    with reading(str(path), code="BAD_HEADER"), path.open("rb") as file:
        coding = _coding(file.read(jpeg_frame.MOST_HEADER_BYTES), kind)
        what = next(_peculiarities(coding), "")
    if what:
        raise InputError(
            f"{path}: {kind} of {coding.bits} bits with {what} is not supported", code="UNSUPPORTED_PIXELS"
        )
    return StillHeader(kind, coding.width, coding.height, coding.channels, max(coding.bits, 8))


def read(path: Path, head: StillHeader, *, accept_damaged: bool = False) -> Photo:
    """Decode a still, turned upright; raises ``InputError`` ``TRUNCATED`` or ``CORRUPT``.

    Fewer than 8 bits are spread over 8.
    """
    with reading(str(path)):
        body = path.read_bytes()
        coding = _coding(body, head.kind)
        samples, damage = _decode_whole(jpeg_frame.without_luggage(body), coding)
    code = "CORRUPT" if body.rfind(b"\xff\xd9") > coding.scan_at else "TRUNCATED"
    if samples is None or (damage and not accept_damaged):
        raise InputError(f"{path}: {damage}", code=code, remedy=CODES["TRUNCATED"].remedy)
    samples, notes = _spread(_own(samples, coding), coding.bits)
    spec = _spec(body)
    turn = spec.get_int_attribute("Orientation", 1)
    notes += (damage_note(damage, code),) if damage else ()
    return Photo(head.kind, upright(samples, turn), head.depth_bits, notes=notes, spec=spec, turned=turn != 1)


# -- header


@dataclass(frozen=True)
class _Coding:
    """What the segments before the picture say."""

    kind: str
    bits: int
    height: int
    width: int
    samplings: tuple[int, ...]
    """Of each channel, across and down in four bits each."""
    scan: bytes
    """The first scan's header."""
    scan_at: int
    """Where that begins in the file."""
    parts: tuple[tuple[int, bytes], ...]
    """Marks and contents of all segments."""

    @property
    def channels(self) -> int:
        return len(self.samplings)

    def of(self, mark: int) -> Iterator[bytes]:
        return (content for each, content in self.parts if each == mark)


def _coding(body: bytes, kind: str) -> _Coding:
    """Follow the segments before the picture; raises ``ValueError``, ``IndexError`` or ``struct.error``."""
    places = list(jpeg_frame.segments(body))
    parts = tuple((mark, body[at + 4 : at + size]) for mark, at, size in places)
    scan_at = max(at + size for _, at, size in places)
    frame = next(content for mark, content in parts if mark in _FRAMES)
    bits, height, width, channels = struct.unpack_from(">BHHB", frame)
    if not (2 <= bits <= 16 and height and width and len(frame) >= 6 + 3 * channels):
        raise ValueError(f"a frame of {width}x{height} with {channels} channels of {bits} bits")
    if body[scan_at : scan_at + 2] != bytes([0xFF, _SCAN]):
        raise ValueError("no picture behind the header")
    (size,) = struct.unpack_from(">H", body, scan_at + 2)
    scan = body[scan_at + 4 : scan_at + 2 + size]
    return _Coding(kind, bits, height, width, tuple(frame[7 : 6 + 3 * channels : 3]), scan, scan_at, parts)


def _peculiarities(coding: _Coding) -> Iterator[str]:
    """Yield what of a coding is not read."""
    if coding.channels not in {1, 3}:
        yield f"{coding.channels} channels"
    if any(sampling != 0x11 for sampling in coding.samplings):
        yield "thinned out channels"
    if any(map(any, coding.of(_INTERVAL))):
        yield "restart intervals"
    yield from (_ls_peculiarities if coding.kind == LS else _lossless_peculiarities)(coding)


def _ls_peculiarities(coding: _Coding) -> Iterator[str]:
    largest = {0, 2**coding.bits - 1}
    for preset in coding.of(_PRESETS):
        if preset[0] != 1 or struct.unpack_from(">H", preset, 1)[0] not in largest:
            yield "a palette or another range of samples"
    if coding.channels == 3 and coding.bits != 8:
        yield "three channels"
    if coding.channels == 3 and coding.scan[-2] == _BY_SAMPLE:
        yield "channels that alternate from sample to sample"
    if any(content.startswith(b"mrfx") and any(content[4:5]) for content in coding.of(_HP)):
        yield "a colour transform"


def _lossless_peculiarities(coding: _Coding) -> Iterator[str]:
    if any(16 in _symbols(content) for content in coding.of(_TABLES)):
        yield "differences of 32768"  # FFmpeg looks for 16 bits behind that code, where there are none
    if coding.scan[0] != coding.channels:
        yield "channels one after the other"
    if (coding.channels, coding.bits) == (3, 9):
        yield "three channels"  # FFmpeg keeps 8 of the bits
    is_rgb = any(content.startswith(b"Adobe") and content[11:12] == b"\0" for content in coding.of(_ADOBE))
    if coding.channels == 3 and not is_rgb:
        yield "colours of which it does not say that they are RGB"


def _symbols(tables: bytes) -> set[int]:
    """Return the symbols of Huffman tables that stand in one segment."""
    at, symbols = 0, set[int]()
    while at < len(tables):
        stop = at + 17 + sum(tables[at + 1 : at + 17])
        symbols.update(tables[at + 17 : stop])
        at = stop
    return symbols


def _spec(body: bytes) -> Any:
    """Return OpenImageIO's description of what lies beside the picture, but for XMP: it reads that of a usual JPEG."""
    tiny = io.BytesIO()
    Image.new("L", (8, 8)).save(tiny, "JPEG")
    places = [(at, at + size) for mark, at, size in jpeg_frame.segments(body) if mark in jpeg_frame.LUGGAGE - {_ADOBE}]
    kept = (body[start:stop] for start, stop in places if not body.startswith(b"http", start + 4))
    beside = b"".join((body[:2], *kept, jpeg_frame.without_luggage(tiny.getvalue())[2:]))
    with NamedTemporaryFile(suffix=".jpg") as file:
        file.write(beside)
        file.flush()
        reader = oiio.ImageInput.open(file.name)
    return oiio.ImageSpec() if reader is None else oiio.ImageSpec(reader.spec())


# -- samples


def _decode_whole(body: bytes, coding: _Coding) -> tuple[NDArray[Any] | None, str]:
    """Return samples ``(H, W, C)`` as the decoder gives them, if it does, and what is wrong with them."""
    samples, message = _decode(body, coding)
    if samples is None or message:
        return samples, message
    parts = list(_data_parts(body, coding.kind))
    longer = body
    for _, stop in reversed(parts):
        longer = longer[:stop] + _EXPLORED + longer[stop:]
    if not _is_same(_decode(longer, coding)[0], samples):
        return samples, "its data end before its picture does"
    for start, stop in parts:
        other = bytes((byte ^ 0x55) & 0x7F for byte in body[stop - _TAIL_BYTES : stop])  # no marker among them
        changed = body[: stop - _TAIL_BYTES] + other + body[stop:]
        if stop - start >= _LEAST_TAILED and _is_same(_decode(changed, coding)[0], samples):
            return samples, "its data go on behind its picture"
    return samples, ""


def _is_same(samples: NDArray[Any] | None, others: NDArray[Any]) -> bool:
    return samples is not None and np.array_equal(samples, others)


def _decode(body: bytes, coding: _Coding) -> tuple[NDArray[Any] | None, str]:
    """Return samples as FFmpeg gives them, if it does, and what it says."""
    coder = av.CodecContext.create(_CODECS[coding.kind], "r")
    coder.thread_count = 1
    frames: list[VideoFrame] = []
    with av.logging.Capture() as lines:
        av.logging.set_level(av.logging.ERROR)
        try:
            frames = [*coder.decode(av.Packet(body)), *coder.decode(None)]  # type: ignore[attr-defined]
        except (av.error.InvalidDataError, av.error.EOFError):
            pass
        finally:
            av.logging.set_level(av.logging.PANIC)
    said = " ".join(lines[0][2].split()) if lines else ""
    if not frames or (frames[0].height, frames[0].width) != (coding.height, coding.width):
        return None, said or "no picture can be decoded"
    samples = frames[0].to_ndarray()
    if frames[0].format.name.startswith("bgr"):
        samples = samples[..., ::-1]
    return samples.reshape(coding.height, coding.width, coding.channels), said


def _data_parts(body: bytes, kind: str) -> Iterator[tuple[int, int]]:
    """Yield where the data of each scan begin and end."""
    at = max(at + size for _, at, size in jpeg_frame.segments(body))
    while at + 4 <= len(body) and body[at] == 0xFF and body[at + 1] != _END:
        start = at + 2 + struct.unpack_from(">H", body, at + 2)[0]
        if body[at + 1] == _SCAN:
            found = _MARKERS[kind].search(body, start)
            at = found.start() if found else len(body)
            yield start, at
        else:
            at = start


def _own(samples: NDArray[Any], coding: _Coding) -> NDArray[Any]:
    """Return samples as they are in the file."""
    return samples >> (8 * samples.itemsize - coding.bits) if coding.channels == 1 else samples


def _spread(samples: NDArray[Any], bits: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return samples with those of fewer than 8 bits spread over 8, and a note then."""
    if bits >= 8:
        return samples, ()
    largest = 2**bits - 1
    table = np.rint(np.arange(256) * (255 / largest)).clip(0, 255).astype(np.uint8)
    return table[samples], (f"Samples of 0 to {largest} were spread over 0 to 255.",)
