"""DPX files (SMPTE ST 268): every header field, and samples to the bit.

We read and write them ourselves because a restored frame shall have the very header that the scanner wrote, with new
pixels only; libraries fill in what they do not know and leave out what they do not name. Both byte orders; 8, 10, 12
and 16 bits; packed, and filled by method A and B; one channel, RGB, RGBA and ABGR. Some scanners do not begin a word
with a line: their 10-bit samples go on, three to a word, from one line into the next.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from workers.media import timecode
from workers.media.errors import reading
from workers.media.transfer import Transfer

LEAST_BYTES = 1664
"""A header without its part on film and television ends here."""
MAX_HEADER_BYTES = 4 << 20
"""Header with the writer's own data behind it; more than this is no header."""
_WORD = 4


def _field_table() -> dict[str, tuple[int, str]]:
    """Field name → offset and struct code, in the order of the standard."""
    layout = (
        # file
        "magic 4s, offset I, version 8s, file_bytes I, ditto I, generic_bytes I, industry_bytes I, user_bytes I, "
        "file_name 100s, created 24s, creator 100s, project 200s, copyright 200s, encryption I, _ 104s, "
        # picture
        "orientation H, elements H, width I, height I, "
        + ", ".join(
            f"{name}{number or ''} {code}"
            for number in range(8)
            for name, code in (
                ("signed", "I"),
                ("low_code", "I"),
                ("low_quantity", "f"),
                ("high_code", "I"),
                ("high_quantity", "f"),
                ("descriptor", "B"),
                ("transfer", "B"),
                ("colorimetric", "B"),
                ("bits", "B"),
                ("packing", "H"),
                ("encoding", "H"),
                ("picture_offset", "I"),
                ("line_padding", "I"),
                ("picture_padding", "I"),
                ("description", "32s"),
            )
        )
        + ", _ 52s, "
        # its source
        "x_offset I, y_offset I, x_center f, y_center f, x_original I, y_original I, source_name 100s, "
        "source_time 24s, device 32s, device_serial 32s, border_left H, border_right H, border_top H, border_bottom H, "
        "aspect_across I, aspect_down I, _ 28s, "
        # film
        "film_maker 2s, film_type 2s, perforation 2s, keycode_prefix 6s, keycode_count 4s, film_format 32s, "
        "frame_position I, sequence_length I, held_count I, film_rate f, frame_id 32s, slate 100s, _ 60s, "
        # television
        "timecode I, user_bits I, interlace B, field B, video_signal B, _ B, sampling_across f, sampling_down f, "
        "video_rate f, time_offset f, gamma f, black_level f, black_gain f, breakpoint f, white_level f, "
        "integration f, _ 76s"
    )
    fields, at = {}, 0
    for entry in layout.split(", "):
        name, code = entry.split(" ")
        fields[name] = (at, code)
        at += struct.calcsize(f"<{code}")
    del fields["_"]
    return fields


FIELDS = _field_table()
"""Every field of the standard: its offset in bytes and its ``struct`` code. Fields of later elements end in 1 to 7."""
TRANSFERS: dict[int, Transfer] = {1: "log", 2: "linear", 3: "log"}
"""Transfer characteristic → how samples stand for light; all others are gamma."""
_CHANNELS = {**dict.fromkeys(range(1, 7), 1), 50: 3, 51: 4, 52: 4}
_GRAY, _RGB, _ABGR = 6, 50, 52
"""Image descriptors."""
_PACKED = 0
_WITHOUT_PADDING = (("device", "Scanity"), ("creator", "Lasergraphics Inc."))
"""Fields and what they begin with where the maker lets 10-bit samples run on across line ends (FFmpeg, dpx.c)."""


@dataclass(frozen=True)
class DpxHeader:
    """A DPX header: its bytes as they are, and what is needed to find the samples."""

    raw: bytes
    """All that stands before the picture, the writer's own data too."""
    width: int
    height: int
    channels: int
    depth_bits: int
    stride_bytes: int
    """From line to line; of a continuous picture its whole size."""
    tail: bytes = b""
    """What stands behind the picture."""
    continuous: bool = False
    """Whether lines begin where the one before ends, also inside a word."""

    @property
    def runs(self) -> tuple[int, int]:
        """How many runs of samples begin at a word, and the samples of each: lines, or the picture as one."""
        samples = self.width * self.channels
        return (1, samples * self.height) if self.continuous else (self.height, samples)

    @property
    def order(self) -> str:
        """``struct`` mark of the byte order."""
        return ">" if self.raw[:4] == b"SDPX" else "<"

    def field(self, name: str) -> Any:
        """Return a field's value: bytes, int or float; zero or nothing where the header is too short for it."""
        at, code = FIELDS[name]
        size = struct.calcsize(f"<{code}")
        value_bytes = self.raw[at : at + size].ljust(size, b"\0")
        return struct.unpack(f"{self.order}{code}", value_bytes)[0]

    def text(self, name: str) -> str:
        """Return a field of text up to its first NUL."""
        value: bytes = self.field(name)
        return value.split(b"\0")[0].split(b"\xff")[0].decode("latin-1").strip()

    @property
    def transfer(self) -> Transfer:
        """How samples stand for light: ``gamma``, ``linear`` or ``log``."""
        return TRANSFERS.get(self.field("transfer"), "gamma")

    @property
    def rates(self) -> tuple[Fraction | None, Fraction | None]:
        """Frames per second of the film and of the television part; none where it is absent or rubbish."""
        return _rate(self.field("film_rate")), _rate(self.field("video_rate"))

    @property
    def odd_rates(self) -> tuple[str, ...]:
        """What stands in these places and can be no rate, but for zero and NaN, by which nobody filled it in."""
        parts = {"film part": self.field("film_rate"), "television part": self.field("video_rate")}
        filled_in = {part: value for part, value in parts.items() if value and not math.isnan(value)}
        return tuple(f"{value:g} in its {part}" for part, value in filled_in.items() if _rate(value) is None)

    @property
    def timecode(self) -> str:
        """The frame's timecode; empty when there is none."""
        return timecode.unpack(self.field("timecode")) if len(self.raw) >= 1924 else ""

    def with_fields(self, **values: Any) -> DpxHeader:
        """Return the header with other values in some fields; those beyond its end are left out."""
        raw = bytearray(self.raw)
        for name, value in values.items():
            at, code = FIELDS[name]
            if at + struct.calcsize(f"<{code}") <= len(raw):
                struct.pack_into(f"{self.order}{code}", raw, at, value)
        return replace(self, raw=bytes(raw))

    def for_picture(self, width: int, height: int, channels: int) -> DpxHeader:
        """Return the header for a picture of another size, or with colour; all else stays."""
        if (width, height, channels) == (self.width, self.height, self.channels):
            return self
        changes: dict[str, Any] = {"width": width, "height": height, "line_padding": 0}
        if channels != self.channels:
            changes["descriptor"] = {1: _GRAY, 3: _RGB}[channels]
        for name, factor in (("x_center", width / self.width), ("y_center", height / self.height)):
            changes[name] = self.field(name) * factor
        new = replace(self, width=width, height=height, channels=channels, tail=b"")
        stride = _run_bytes(new)
        changes["file_bytes"] = min(len(self.raw) + stride * new.runs[0], 0xFFFFFFFF)
        return replace(new.with_fields(**changes), stride_bytes=stride)


def header(path: Path) -> DpxHeader:
    """Read a header.

    Raises:
        InputError: ``BAD_HEADER``, ``TRUNCATED`` when the picture does not fit into the file, ``UNSUPPORTED_PIXELS``.
    """
    with reading(str(path), code="BAD_HEADER"), path.open("rb") as file:
        head = file.read(LEAST_BYTES)
        if len(head) < LEAST_BYTES or head[:4] not in {b"SDPX", b"XPDS"}:
            code = "TRUNCATED" if head[:4] in {b"SDPX", b"XPDS"} else "BAD_HEADER"
            raise InputError(f"{path}: no DPX header of {LEAST_BYTES} bytes", code=code)
        first = DpxHeader(head, 0, 0, 0, 0, 0)
        offset = first.field("picture_offset") or first.field("offset")
        size_bytes = path.stat().st_size
        if not LEAST_BYTES <= offset <= MAX_HEADER_BYTES:
            raise InputError(f"{path}: its picture begins at {offset}, inside the header", code="BAD_HEADER")
        if offset >= size_bytes:
            raise InputError(f"{path}: ends before its picture begins", code="TRUNCATED")
        dpx_header = _check_header(DpxHeader(head + file.read(offset - LEAST_BYTES), 0, 0, 0, 0, 0), path)
        dpx_header = replace(dpx_header, continuous=_is_continuous(dpx_header, size_bytes - offset))
        stride = _stride(dpx_header, size_bytes - offset)
        if offset + stride * (dpx_header.runs[0] - 1) + _run_bytes(dpx_header) > size_bytes:
            raise InputError(f"{path}: ends before its picture does", code="TRUNCATED")
        file.seek(offset + stride * dpx_header.runs[0])
        # What a writer puts behind the picture is small: fill bytes, or data of its own.
        tail = file.read(MAX_HEADER_BYTES)
    return replace(dpx_header, stride_bytes=stride, tail=tail)


def read(path: Path) -> tuple[DpxHeader, NDArray[Any]]:
    """Read a file.

    Returns:
        Its header, and its samples ``(H, W, C)`` uint8 or uint16, unscaled, in the order R, G, B, A.

    Raises:
        InputError: As :func:`header`.
    """
    head = header(path)
    with reading(str(path)), path.open("rb") as file:
        file.seek(len(head.raw))
        body = file.read(head.stride_bytes * head.runs[0])
    # The last line may lack its padding.
    lines = np.frombuffer(body.ljust(head.stride_bytes * head.runs[0], b"\0"), np.uint8)
    samples = _unpack(lines.reshape(head.runs[0], head.stride_bytes), head)
    samples = samples.reshape(head.height, head.width, head.channels)
    return head, samples[..., ::-1] if head.field("descriptor") == _ABGR else samples


def write(path: Path, head: DpxHeader, samples: NDArray[Any]) -> None:
    """Write a file.

    Args:
        path: The file.
        head: Its header, already made for the picture's size and channels by ``for_picture``.
        samples: ``(H, W, C)`` uint8 or uint16, unscaled.
    """
    if samples.shape != (head.height, head.width, head.channels):
        raise ValueError(f"a header for {head.width}x{head.height}x{head.channels} and samples of {samples.shape}")
    if head.field("descriptor") == _ABGR:
        samples = samples[..., ::-1]
    lines = _pack(samples.reshape(head.runs), head)
    body = np.zeros((head.runs[0], head.stride_bytes), np.uint8)
    body[:, : lines.shape[1]] = lines[:, : head.stride_bytes]
    with path.open("wb") as file:
        file.write(head.raw)
        file.write(body.data)
        file.write(head.tail)


# -- header


def _check_header(head: DpxHeader, path: Path) -> DpxHeader:
    width, height, bits = head.field("width"), head.field("height"), head.field("bits")
    channels = _CHANNELS.get(head.field("descriptor"), 0)
    wrong = next(
        (
            text
            for fault, text in (
                (head.field("elements") != 1, f"{head.field('elements')} image elements"),
                (not channels, f"image descriptor {head.field('descriptor')}"),
                (bits not in {8, 10, 12, 16}, f"{bits} bits"),
                (head.field("encoding") == 1, "run-length encoding"),
                (head.field("signed") == 1, "signed samples"),
                (head.field("packing") not in {0, 1, 2, 0xFFFF}, f"packing {head.field('packing')}"),
            )
            if fault
        ),
        "",
    )
    if not 0 < width < 1 << 20 or not 0 < height < 1 << 20:
        raise InputError(f"{path}: {width}x{height} pixels", code="BAD_HEADER")
    if wrong:
        raise InputError(f"{path}: DPX with {wrong} is not supported", code="UNSUPPORTED_PIXELS")
    return DpxHeader(head.raw, width, height, channels, bits, 0)


def _rate(value: float) -> Fraction | None:
    if not 1 <= value <= 240:
        return None
    for exact in (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(50, 3)):
        if abs(value - exact) < 0.005:
            return exact
    return Fraction(value).limit_denominator(100)


# -- lines


def _is_filled(head: DpxHeader) -> bool:
    return bool(head.field("packing") != _PACKED)


def _least_stride(samples: int, bits: int, packing: int) -> int:
    """Return the bytes of a line of so many samples, without any padding but that to whole words."""
    if bits in {8, 16}:
        return samples * bits // 8
    if packing == _PACKED:
        return -(-samples * bits // 32) * _WORD
    return -(-samples // 3) * _WORD if bits == 10 else 2 * samples


def _run_bytes(head: DpxHeader) -> int:
    return _least_stride(head.runs[1], head.depth_bits, head.field("packing"))


def _is_continuous(head: DpxHeader, body_bytes: int) -> bool:
    """Whether samples, three to a word, run on across the ends of lines: by the file's size, else by who made it."""
    if head.depth_bits != 10 or not _is_filled(head) or head.runs[1] % 3 == 0:
        return False
    with_padding, without = _run_bytes(head) * head.height, _run_bytes(replace(head, continuous=True))
    if body_bytes in {with_padding, without}:
        return body_bytes == without
    return body_bytes > without and any(head.text(field).startswith(maker) for field, maker in _WITHOUT_PADDING)


def _stride(head: DpxHeader, body_bytes: int) -> int:
    """Return the distance of lines: some writers round them up to words, some do not, and few say so."""
    least, padding = _run_bytes(head), head.field("line_padding")
    if head.continuous:
        return least
    extra = padding if padding < 1 << 16 else 0
    whole_words = -(-least // _WORD) * _WORD
    choices = (least + extra, whole_words + extra, least, whole_words)
    exact = [stride for stride in choices if stride * head.height == body_bytes]
    fitting = [stride for stride in choices if stride * head.height <= body_bytes]
    return (exact or fitting or [least])[0]


def _unpack(lines: NDArray[np.uint8], head: DpxHeader) -> NDArray[Any]:
    """Return ``(runs, samples)`` of ``(runs, stride)`` bytes."""
    count, bits, body = head.runs[1], head.depth_bits, lines[:, : _run_bytes(head)]
    body = np.ascontiguousarray(body)
    if bits == 8:
        return body
    if bits == 16 or (bits == 12 and _is_filled(head)):
        words = body.view(f"{head.order}u2").astype(np.uint16)
        if bits == 16:
            return words
        return words >> 4 if head.field("packing") != 2 else words & 0xFFF
    words = body.view(f"{head.order}u4").astype(np.uint32)
    if _is_filled(head):
        parts = [(words >> shift & 0x3FF).astype(np.uint16) for shift in _shifts(head)]
        return np.stack(parts, axis=2).reshape(len(lines), -1)[:, :count]
    return _from_bits(words.astype("<u4").view(np.uint8), bits)[:, :count]


def _pack(samples: NDArray[Any], head: DpxHeader) -> NDArray[np.uint8]:
    """Return ``(runs, bytes)`` of ``(runs, samples)``: the inverse of :func:`_unpack`."""
    bits = head.depth_bits
    if bits == 8:
        return samples.astype(np.uint8)
    if bits == 16 or (bits == 12 and _is_filled(head)):
        values = samples << 4 if bits == 12 and head.field("packing") != 2 else samples
        return np.ascontiguousarray(values.astype(f"{head.order}u2")).view(np.uint8)
    if _is_filled(head):
        threes = _pad_to_group(samples, 3).reshape(len(samples), -1, 3).astype(np.uint32)
        words = np.zeros(threes.shape[:2], np.uint32)
        for place, shift in enumerate(_shifts(head)):
            words |= threes[..., place] << np.uint32(shift)
    else:
        stream = _to_bits(samples, bits)
        words = _pad_to_group(stream, _WORD).view("<u4").astype(np.uint32)
    return np.ascontiguousarray(words.astype(f"{head.order}u4")).view(np.uint8)


def _shifts(head: DpxHeader) -> tuple[int, int, int]:
    """Return where the three samples of a filled word lie: colour begins at its top, a lone channel at its bottom."""
    low = 0 if head.field("packing") == 2 else 2
    return (low + 20, low + 10, low) if head.channels > 1 else (low, low + 10, low + 20)


def _from_bits(stream: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """Cut lines of bytes into samples, lowest bits first."""
    size, many = (5, 4) if bits == 10 else (3, 2)
    groups = _pad_to_group(stream, size).reshape(len(stream), -1, size)
    words = np.zeros(groups.shape[:2], np.uint64)
    for place in range(size):
        words |= groups[..., place].astype(np.uint64) << np.uint64(8 * place)
    mask = np.uint64(2**bits - 1)
    parts = [(words >> np.uint64(bits * place) & mask).astype(np.uint16) for place in range(many)]
    return np.stack(parts, axis=2).reshape(len(stream), -1)


def _to_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    size, many = (5, 4) if bits == 10 else (3, 2)
    groups = _pad_to_group(samples, many).reshape(len(samples), -1, many)
    words = np.zeros(groups.shape[:2], np.uint64)
    for place in range(many):
        words |= groups[..., place].astype(np.uint64) << np.uint64(bits * place)
    parts = [(words >> np.uint64(8 * place) & np.uint64(0xFF)).astype(np.uint8) for place in range(size)]
    return np.stack(parts, axis=2).reshape(len(samples), -1)


def _pad_to_group(lines: NDArray[Any], group: int) -> NDArray[Any]:
    """Return lines with zeros behind them up to a multiple of ``group``."""
    missing = -lines.shape[1] % group
    return np.pad(lines, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(lines)
