"""Strips of rows that the processor's cache holds.

A frame goes through main memory at every operation. What takes several operations a sample is several times faster
on one strip after the other, in memory that is made once and used again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_STRIP_PX = 1 << 16
_LINE_BYTES = 64
"""What the cache is filled by: an operation takes up to twice as long on memory that begins elsewhere."""


def strips(
    size: Sequence[int], count: int, multiple: int = 1, dtype: DTypeLike = np.float32
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Give the rows of a picture in order, a strip at a time, each with memory to compute it in.

    Args:
        size: Height and width of the picture.
        count: Planes of memory.
        multiple: Of how many rows each strip but the last one is a multiple.
        dtype: Of that memory.

    Returns:
        The rows of each strip, and planes ``(count, rows, width)`` of any values: the same memory every time.
    """
    height, width = size
    step = max(1, _STRIP_PX // (width * multiple)) * multiple
    spare = aligned((count, min(step, height), width), dtype)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        yield rows, spare[:, : rows.stop - top]


def aligned(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of any values that begins where a line of the cache does."""
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size_bytes + _LINE_BYTES, np.uint8)
    begin = -memory.ctypes.data % _LINE_BYTES
    return memory[begin : begin + size_bytes].view(dtype).reshape(shape)
