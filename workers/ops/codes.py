"""Grey pictures of 8 bits have 256 values: what is done to each pixel by itself is done to those, and looked up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane

_SCALES = ((0.0, 255.0), (16.0, 219.0))
"""Code of black, and codes from black to white, of full and of limited range."""
_TRIED_ROWS = 4


class Coded(NamedTuple):
    """A plane that has at most 256 values."""

    codes: NDArray[np.uint8]
    """``(H, W)``."""
    values: NDArray[np.float32]
    """``(256,)``: ``values[codes]`` is the plane, to the bit."""


def to_codes(plane: Plane) -> Coded | None:
    """Return a plane ``(H, W)`` float32 as the samples of 8 bits that it was made of; none where it was not."""
    for low, span in _SCALES:
        values = (np.arange(256, dtype=np.float32) - np.float32(low)) / np.float32(span)
        if _fits(plane[:: max(1, len(plane) // _TRIED_ROWS)], values, low, span) is not None:
            codes = _fits(plane, values, low, span)
            if codes is not None:
                return Coded(codes, values)
    return None


def _fits(plane: Plane, values: NDArray[np.float32], low: float, span: float) -> NDArray[np.uint8] | None:
    codes = plane * np.float32(span)
    codes += np.float32(low + 0.5)
    with np.errstate(invalid="ignore"):
        found = np.clip(codes, 0, 255, out=codes).astype(np.uint8)
    return found if np.array_equal(np.take(values, found), plane) else None
