"""Sums over a picture that come out alike in however many strips it is looked at: one for each row, then over all rows.

A row is summed in float64 from left to right by itself, and the rows' sums from the top down.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane

RowValues = NDArray[np.float64]
"""``(H, K)``: what a measure needs to know of each row."""
Size = tuple[int, int]
"""Height and width of the whole picture."""


def sums(plane: Plane) -> NDArray[np.float64]:
    """Return the sum of each row ``(H,)``."""
    return np.asarray(cv2.reduce(plane, 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[:, 0], np.float64)


def square_sums(plane: Plane) -> NDArray[np.float64]:
    """Return the sum of squares of each row ``(H,)``, squared in float64: what is left of means needs every digit."""
    exact = plane.astype(np.float64)
    return sums(np.multiply(exact, exact, out=exact))


def moments(values: RowValues, count: int) -> tuple[float, float]:
    """Return mean and standard deviation of ``count`` samples from sums and sums of squares ``(H, 2)``."""
    mean, square = (float(value) for value in values.sum(axis=0) / count)
    return mean, float(np.sqrt(max(0.0, square - mean * mean)))


def alike(one: Plane, other: Plane) -> NDArray[np.bool_]:
    """Return which rows ``(H,)`` of two planes are the same throughout."""
    same: NDArray[np.bool_] = (one == other).all(axis=1)
    return same
