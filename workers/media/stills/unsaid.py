"""What readers do with a still and do not say: other ranges of samples, and bits that could be transparency."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

_PNM_HEADER = re.compile(rb"P[2356](?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+(\d{1,5})\s")
"""Kind, width, height and largest value, with comments between them."""
_MOST_HEADER_BYTES = 1 << 16
_BMP_HEADER_BYTES = 14
_BMP_WITH_ALPHA = 56
"""Bytes of the first header of BMP that has a mask of alpha."""
_PLAIN, _MASKED = 0, 3
_BLOCK_ROWS = 256


def notes(path: Path, kind: str) -> tuple[str, ...]:
    """Return what a person should know of how a still was read; raises ``OSError``."""
    with path.open("rb") as file:
        head = file.read(_MOST_HEADER_BYTES)
    if kind == "pnm":
        return _range_note(head)
    if kind == "bmp" and _has_alpha_bits(path, head):
        return ("Bits of its pixels that could be transparency were left out.",)
    return ()


def _range_note(head: bytes) -> tuple[str, ...]:
    found = _PNM_HEADER.match(head)
    largest = int(found[1]) if found else 0
    most = 255 if largest < 256 else 65535
    return (f"Samples of 0 to {largest} were spread over 0 to {most}.",) if largest not in (0, most) else ()


def _has_alpha_bits(path: Path, head: bytes) -> bool:
    """Whether bits of a BMP's pixels that the reader drops differ from pixel to pixel; where none does, none is meant.

    Of 16 bits the highest may be alpha, by the header's mask; of 32 bits without masks the last byte is often used so.
    """
    if len(head) < _BMP_HEADER_BYTES + 40:
        return False
    start, size, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", head, 10)
    is_masked = (bits, packing) == (16, _MASKED) and size >= _BMP_WITH_ALPHA and len(head) >= _BMP_HEADER_BYTES + size
    mask = 0x80 if is_masked and head[_BMP_HEADER_BYTES + 53] & 0x80 else 0xFF if (bits, packing) == (32, _PLAIN) else 0
    row_bytes = -(-width * bits // 32) * 4
    if not mask or row_bytes <= 0 or start >= path.stat().st_size:
        return False
    body = np.memmap(path, np.uint8, "r", start)
    rows = body[: min(len(body) // row_bytes, abs(height)) * row_bytes].reshape(-1, row_bytes)
    highest = rows[:, bits // 8 - 1 : width * bits // 8 : bits // 8]  # byte of each pixel
    blocks = (highest[at : at + _BLOCK_ROWS] & mask for at in range(0, len(rows), _BLOCK_ROWS))
    return len({int(value) for block in blocks for value in (block.min(), block.max())}) > 1
