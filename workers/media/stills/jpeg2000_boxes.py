"""What a JPEG 2000 file says of its samples before they begin, and which of them would come out as another picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from db.errors import InputError
from workers.media.errors import reading

_MOST_HEADER_BYTES = 1 << 20
"""Of boxes before the codestream, in which a profile may lie."""
_CODESTREAM = b"\xff\x4f\xff\x51"
_COUNT, _SIZES = 40, 42
"""Where in a codestream the number of components stands, and three bytes of each; the first's highest bit is a sign."""
_SPACES = {15, 16, 17, 18}
"""Bilevel, sRGB, grey and sYCC; the reader takes all others for sRGB (ISO/IEC 15444-2, table M.25)."""
_NAMES = {0: "bilevel with 0 for white", 12: "CMYK", 13: "YCCK", 14: "CIELab", 19: "CIEJab", 21: "ROMM-RGB"}


def check(path: Path) -> None:
    """Refuse a file whose samples would come out as what they are not; raises ``InputError`` ``UNSUPPORTED_PIXELS``."""
    with reading(str(path)), path.open("rb") as file:
        wrong = fault(file.read(_MOST_HEADER_BYTES))
    if wrong:
        raise InputError(f"{path}: JPEG 2000 with {wrong} is not supported", code="UNSUPPORTED_PIXELS")


def fault(head: bytes) -> str:
    """Say what of a file that begins so is not supported; empty where all is, or where it cannot be followed."""
    at = head.find(_CODESTREAM)
    if at >= 0 and len(head) > at + _SIZES:
        (count,) = struct.unpack_from(">H", head, at + _COUNT)
        if any(size & 0x80 for size in head[at + _SIZES : at + _SIZES + 3 * count : 3]):
            return "samples that have a sign"
    spaces = [space for kind, body in _boxes(head, b"jp2h") if kind == b"colr" and (space := _space(body)) is not None]
    if spaces and not _SPACES.intersection(spaces):
        return f"colours in {_NAMES.get(spaces[0], f'space {spaces[0]}')}"
    return ""


def _space(body: bytes) -> int | None:
    """Return the number of a colour space that is enumerated; none where a profile gives it."""
    return int.from_bytes(body[3:7], "big") if body[:1] == b"\1" and len(body) >= 7 else None


def _boxes(head: bytes, inside: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each box, or of each box inside of the one that is called so."""
    at = 0
    while at + 8 <= len(head):
        size, name = struct.unpack_from(">I4s", head, at)
        body = head[at + 8 : at + size]
        if inside and name == inside:
            yield from _boxes(body)
        elif not inside:
            yield name, body
        if size < 8:  # to the end of the file, or longer than anything that is looked at
            return
        at += size
