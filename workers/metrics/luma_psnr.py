"""Likeness of luma to the source in dB: ``10 log10(1 / MSE)``, at most 100."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import device_rows, planes, rows
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

LUMA_ONLY = True
RADIUS_PX = 0
_MOST_DB = 100.0


def update(picture: Planes, source: Planes) -> float:
    """Return the PSNR of one frame's BT.601 luma, full scale 1."""
    return from_rows(row_values(picture, source, size=picture.shape[1:]), picture.shape[1:])


def row_values(picture: Planes, source: Planes, *, size: Size) -> RowValues:
    """Return the squared differences of each row."""
    if picture is source:
        return np.zeros((picture.shape[1], 1))
    one, other = planes.luma(picture), planes.luma(source)
    difference = one - other
    return rows.sums(np.multiply(difference, difference, out=difference))[:, None]


def device_row_values(pictures: Tensor, sources: Tensor, *, size: Size) -> Tensor:
    """Return the squared differences of each row, where the pictures lie."""
    return device_rows.sums((pictures[:, 0] - sources[:, 0]).square_())[..., None]


def from_rows(values: RowValues, size: Size) -> float:
    """Return the PSNR of a picture whose rows these are."""
    squared = float(values.sum()) / (size[0] * size[1])
    return float(min(_MOST_DB, -10 * np.log10(max(squared, 1e-12))))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
