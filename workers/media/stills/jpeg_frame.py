"""What a JPEG's own header says of its coding: some that bear the name are read by nobody here."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MOST_HEADER_BYTES = 8 << 20
"""Profiles and EXIF before the picture; a frame that begins later is not looked for."""
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_NAMES = {
    0xC3: "lossless JPEG", 0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "hierarchical JPEG",
    0xCB: "lossless JPEG", 0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "hierarchical JPEG",
    0xF7: "JPEG-LS",
}  # fmt: skip
_LONELY = {0x01, *range(0xD0, 0xD9)}
"""Marks without a segment."""
_END, _SCAN = 0xD9, 0xDA
LUGGAGE = {*range(0xE0, 0xF0), 0xFE}
"""Marks of what lies beside the picture: profiles, EXIF, comments."""


def segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield mark, place and whole size in bytes of each segment before the picture's own.

    Raises:
        ValueError: One is longer than the file, or none is there.
    """
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF and body[at + 1] not in {_SCAN, _END}:
        if body[at + 1] == 0xFF or body[at + 1] in _LONELY:  # fill bytes
            at += 1 if body[at + 1] == 0xFF else 2
            continue
        size = 2 + struct.unpack_from(">H", body, at + 2)[0]
        if size < 4 or at + size > len(body):
            raise ValueError("a segment longer than its file")
        yield body[at + 1], at, size
        at += size


def frame(body: bytes) -> tuple[int, int, int] | None:
    """Return mark, bits of a sample and components of the frame; none where it is not found."""
    try:
        for mark, at, size in segments(body):
            if mark in _FRAMES and size >= 10:
                return mark, body[at + 4], body[at + 9]
    except ValueError:
        pass
    return None


def without_luggage(body: bytes) -> bytes:
    """Return a JPEG without what lies beside its picture, or as it is where its segments cannot be followed."""
    try:
        places = list(segments(body))
    except ValueError:
        return body
    kept = (body[at : at + size] for mark, at, size in places if mark not in LUGGAGE)
    return b"".join((body[:2], *kept, body[max((at + size for _, at, size in places), default=2) :]))


def fault(body: bytes) -> str:
    """Say what of a JPEG that begins so is not supported; empty where all is."""
    mark, bits, _ = frame(body) or (0, 8, 0)
    if mark in _NAMES:
        return f"{_NAMES[mark]} of {bits} bits"
    return f"JPEG of {bits} bits" if bits != 8 else ""
