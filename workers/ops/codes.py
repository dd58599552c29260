"""Grey pictures of 8 bits have 256 values: what is done to each pixel by itself is done to those, and looked up."""

from __future__ import annotations

from typing import NamedTuple

import cv2
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

    def counts(self) -> NDArray[np.intp]:
        """Return how many pixels have each of the 256 codes."""
        # OpenCV counts in float32, which is exact up to 2**24 pixels.
        step = max(1, (1 << 24) // self.codes.shape[1])
        parts = (self.codes[top : top + step] for top in range(0, len(self.codes), step))
        each = [cv2.calcHist([part], [0], None, [256], [0, 256]).ravel() for part in parts]
        counts: NDArray[np.intp] = np.sum(each, axis=0, dtype=np.intp)
        return counts

    def look_up(self, table: Plane) -> Plane:
        """Return the plane in which each value is that of ``table`` ``(256,)`` float32."""
        plane: Plane = cv2.LUT(self.codes, table)
        return plane


def to_codes(plane: Plane) -> Coded | None:
    """Return a plane ``(H, W)`` float32 as the samples of 8 bits that it was made of; none where it was not."""
    for low, span in _SCALES:
        few = plane[:: max(1, len(plane) // _TRIED_ROWS)]
        if _fitting_codes(few, low, span) is not None:
            codes = _fitting_codes(plane, low, span)
            if codes is not None:
                return Coded(codes, _values(np.arange(256, dtype=np.uint8), low, span))
    return None


def _values(codes: NDArray[np.uint8], low: float, span: float) -> NDArray[np.float32]:
    """Return what samples stand for, by the very operations of ``workers.media.pixels``."""
    values = codes.astype(np.float32)
    values -= np.float32(low)
    values /= np.float32(span)
    return values


def _fitting_codes(plane: Plane, low: float, span: float) -> NDArray[np.uint8] | None:
    codes = plane * np.float32(span)
    codes += np.float32(low + 0.5)
    with np.errstate(invalid="ignore"):
        found = np.clip(codes, 0, 255, out=codes).astype(np.uint8)
    return found if np.array_equal(_values(found, low, span), plane) else None
