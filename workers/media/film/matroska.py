"""What PyAV does not do with Matroska: write a film's pixel shape into its header, and say that a file is cut off.

The track's name is written as a reserve of room; here its bytes become the display size, and what is left over becomes
void. Nothing after the header moves. Element numbers are from RFC 9559.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from db.errors import WorkError
from workers.media.remote import Place, as_film, size_of

RESERVE = "picture".ljust(40, ".")
"""Name to give the picture track while muxing."""
_HEAD_BYTES = 1 << 16
_SEGMENT, _TRACKS, _ENTRY, _VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
_NAME, _CRC, _VOID = b"\x53\x6e", b"\xbf", b"\xec"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_UNIT_ASPECT = b"\x03"
_INDEX_PLACE = re.compile(rb"\x53\xab\x84\x1c\x53\xbb\x6b\x53\xac([\x81-\x88])")
"""What stands before the place of the index (Cues) in the list of places, counted from the segment's content."""

Element = tuple[bytes, int, int]
"""Number, where its payload begins, where it ends."""


def lost_end(place: Place) -> tuple[int, bool]:
    """Return how many bytes of a film are not there by the size that it begins with, and whether frames lay in them.

    They did not where all that is lost stood behind the frames: the index, and what is written with it.
    """
    with closing(as_film(place).open("rb")) as file:
        head = file.read(_HEAD_BYTES)
    at = head.find(_SEGMENT) + len(_SEGMENT)
    if at < len(_SEGMENT) or not head[at : at + 1].strip(b"\0"):
        return 0, False
    size_bytes, there = _length(head[at]), size_of(place)
    most = (1 << (7 * size_bytes)) - 1  # that is: not known, as of what was written while it was sent
    size = int.from_bytes(head[at : at + size_bytes], "big") & most
    at += size_bytes
    found = _INDEX_PLACE.search(head)
    index_at = int.from_bytes(head[found.end() : found.end() + (found[1][0] & 0x7F)], "big") if found else 0
    lost = 0 if size == most else max(0, at + size - there)
    return lost, not found or index_at == 0 or there < at + index_at


def set_aspect(path: Path, height: int, width: int, aspect: Fraction) -> None:
    """Say in a finished file how its pixels are shaped.

    Args:
        path: A file whose picture track, the first one, was named :data:`RESERVE`.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        aspect: Width of a pixel over its height.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD_BYTES))
        segment = _find_element(head, 0, len(head), _SEGMENT)
        tracks = _find_element(head, segment[1], len(head), _TRACKS)
        entry = _find_element(head, tracks[1], tracks[2], _ENTRY)
        head[entry[1] : entry[2]] = _with_display(bytes(head[entry[1] : entry[2]]), _display(height, width, aspect))
        for number, start, stop in _elements(head, tracks[1], tracks[2]):
            if number == _CRC:
                head[start:stop] = zlib.crc32(head[stop : tracks[2]]).to_bytes(4, "little")
        file.seek(0)
        file.write(head)


def _display(height: int, width: int, aspect: Fraction) -> bytes:
    """Return the display elements: in pixels where that is exact, else as an aspect ratio."""
    display_width = width * aspect
    if display_width.denominator == 1:
        return _element(_DISPLAY_WIDTH, _uint(int(display_width))) + _element(_DISPLAY_HEIGHT, _uint(height))
    ratio = display_width / height
    parts = ((_DISPLAY_WIDTH, _uint(ratio.numerator)), (_DISPLAY_HEIGHT, _uint(ratio.denominator)))
    return b"".join(_element(*part) for part in (*parts, (_DISPLAY_UNIT, _UNIT_ASPECT)))


def _with_display(entry: bytes, display: bytes) -> bytes:
    """Return a track entry's payload of the same length, with other display elements and without its name."""
    output = b""
    for number, start, stop in _elements(entry, 0, len(entry)):
        payload = entry[start:stop]
        if number == _VIDEO:
            old = {_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT}
            others = (part for part in _elements(payload, 0, len(payload)) if part[0] not in old)
            payload = b"".join(_element(part[0], payload[part[1] : part[2]]) for part in others) + display
        if number != _NAME:
            output += _element(number, payload)
    room = len(entry) - len(output)
    if not 2 <= room < 128:
        raise WorkError("The master's header has no room for the pixel aspect", code="WORKER_FAULT")
    return output + _VOID + bytes([0x80 | (room - 2)]) + bytes(room - 2)


def _find_element(data: bytes | bytearray, start: int, stop: int, element_id: bytes) -> Element:
    for element in _elements(data, start, stop):
        if element[0] == element_id:
            return element
    raise WorkError(f"The master's header lacks element {element_id.hex()}", code="WORKER_FAULT")


def _elements(data: bytes | bytearray, start: int, stop: int) -> Iterator[Element]:
    while start < stop:
        number_bytes = _length(data[start])
        size_at = start + number_bytes
        size_bytes = _length(data[size_at])
        mark = 1 << (7 * size_bytes)
        size = int.from_bytes(data[size_at : size_at + size_bytes], "big") - mark
        payload = size_at + size_bytes
        yield bytes(data[start:size_at]), payload, payload + size
        start = payload + size


def _element(number: bytes, payload: bytes) -> bytes:
    size_bytes = 1 if len(payload) < 127 else 4
    return number + (len(payload) | 1 << (7 * size_bytes)).to_bytes(size_bytes, "big") + payload


def _uint(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _length(first: int) -> int:
    """Return how many bytes a number has, from the leading zeros of its first one."""
    if first == 0:
        raise WorkError("The master's header is not Matroska", code="WORKER_FAULT")
    return 9 - first.bit_length()
