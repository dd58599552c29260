"""Jumps of mean luma: root mean square of its second difference within shots.

A steady fade has no second difference. A cut has one and is left out: a step of mean luma of more than 0.02 and more
than 6 times the reel's median step, from which the next step does not come back as from a flash. (A cut between shots
of one brightness is no jump.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import device_rows, planes, rows
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

LUMA_ONLY = True
RADIUS_PX = 0
_LEAST_CUT, _STANDS_OUT = 0.02, 6.0


def update(picture: Planes) -> float:
    """Return the mean luma of one picture."""
    return from_rows(row_values(picture, size=picture.shape[1:]), picture.shape[1:])


def row_values(picture: Planes, *, size: Size) -> RowValues:
    """Return the luma of each row."""
    return rows.sums(planes.luma(picture))[:, None]


def device_row_values(pictures: Tensor, *, size: Size) -> Tensor:
    """Return the luma of each row, where the pictures lie."""
    return device_rows.sums(pictures[:, 0])[..., None]


def from_rows(values: RowValues, size: Size) -> float:
    """Return the mean luma of a picture whose rows these are."""
    return float(values.sum()) / (size[0] * size[1])


def compute(values: NDArray[np.float64]) -> float:
    """Return the flicker over at least three frames' mean luma."""
    step = np.diff(values)
    cut = _cuts(step)
    jumps = np.diff(step)[~(cut[1:] | cut[:-1])]
    return float(np.sqrt(np.mean(jumps**2))) if jumps.size else 0.0


def _cuts(step: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which steps from frame to frame lead to another shot: far greater than usual, and not taken back."""
    large = np.abs(step) > max(_LEAST_CUT, _STANDS_OUT * float(np.median(np.abs(step))))
    around = np.pad(step, 1)
    taken_back = np.minimum(around[:-2] * step, around[2:] * step) < -0.25 * step**2
    return large & ~taken_back
