"""How colourful a picture is (Hasler and Suesstrunk 2003), on 0..255 with signed axes; 0 for grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import colorfulness
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

RADIUS_PX = 0


def update(picture: Planes) -> float:
    """Return the colorfulness of one picture."""
    return colorfulness.signed(picture)


def row_values(picture: Planes, *, size: Size) -> RowValues:
    """Return the sums of both axes of each row, and those of their squares."""
    return colorfulness.signed_rows(picture)


def device_row_values(pictures: Tensor, *, size: Size) -> Tensor:
    """Return the sums of both axes of each row, and those of their squares, where the pictures lie."""
    return colorfulness.signed_device_rows(pictures)


def from_rows(values: RowValues, size: Size) -> float:
    """Return the colorfulness of a picture whose rows these are."""
    return colorfulness.from_rows(values, size[0] * size[1])


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
