"""Energy of fine detail: variance of the Laplacian of luma, times 100."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import device_rows, planes, rows
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

LUMA_ONLY = True
RADIUS_PX = 1


def update(picture: Planes) -> float:
    """Return the sharpness of one picture (4-neighbour Laplacian)."""
    return from_rows(row_values(picture, size=picture.shape[1:]), picture.shape[1:])


def row_values(picture: Planes, *, size: Size) -> RowValues:
    """Return the sum of detail in each row, and that of its squares."""
    detail = cv2.Laplacian(planes.luma(picture), cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101)
    return np.stack([rows.sums(detail), rows.square_sums(detail)], axis=1)


def device_row_values(pictures: Tensor, *, size: Size) -> Tensor:
    """Return the sum of detail in each row, and that of its squares, where the pictures lie."""
    detail = device_rows.laplacian(pictures[:, 0])
    return torch.stack([device_rows.sums(detail), device_rows.square_sums(detail)], dim=-1)


def from_rows(values: RowValues, size: Size) -> float:
    """Return the sharpness of a picture whose rows these are."""
    return 100 * rows.moments(values, size[0] * size[1])[1] ** 2


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
