"""Estimated noise as a share of full scale (Immerkaer 1996).

Fine texture counts too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import device_rows, noise, planes, rows
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

LUMA_ONLY = True
RADIUS_PX = 1


def update(picture: Planes) -> float:
    """Return the noise of one picture's luma."""
    return from_rows(row_values(picture, size=picture.shape[1:]), picture.shape[1:])


def row_values(picture: Planes, *, size: Size) -> RowValues:
    """Return how much of each row looks like noise."""
    return rows.sums(noise.response(planes.luma(picture)))[:, None]


def device_row_values(pictures: Tensor, *, size: Size) -> Tensor:
    """Return how much of each row looks like noise, where the pictures lie."""
    return device_rows.sums(device_rows.noise_response(pictures[:, 0]))[..., None]


def from_rows(values: RowValues, size: Size) -> float:
    """Return the noise of a picture whose rows these are."""
    return noise.immerkaer_sigma(float(values.sum()) / (size[0] * size[1]))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
