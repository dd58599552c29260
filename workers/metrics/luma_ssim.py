"""Likeness of structure to the source (Wang et al. 2004), -1 to 1.

``SSIM = (2 mx my + C1)(2 cov + C2) / ((mx² + my² + C1)(vx + vy + C2))`` with Gaussian windows of 11 pixels, sigma 1.5,
C1 = 0.01², C2 = 0.03² at full scale 1, averaged over the windows that lie wholly inside the picture. Of windows that
both pictures have alike it is 1, whatever rounding would make of it.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.ops import device_rows, planes, rows
from workers.ops.planes import Plane, Planes
from workers.ops.rows import RowValues, Size

LUMA_ONLY = True
_SIDE, _SIGMA = 11, 1.5
RADIUS_PX = _SIDE // 2
_C1, _C2 = 0.01**2, 0.03**2


def update(picture: Planes, source: Planes) -> float:
    """Return the mean SSIM of one frame's BT.601 luma."""
    return from_rows(row_values(picture, source, size=picture.shape[1:]), picture.shape[1:])


def row_values(picture: Planes, source: Planes, *, size: Size) -> RowValues:
    """Return the sum of the formula over the whole windows around each row; without a change in them it is 1."""
    edge = _edge(size)
    if picture is source:
        return np.full((picture.shape[1], 1), size[1] - 2.0 * edge)
    one, other = planes.luma(picture), planes.luma(source)
    is_same = _without_change(rows.alike(one, other))
    if is_same.all():
        return np.full((len(one), 1), size[1] - 2.0 * edge)
    ratio = _ratio(one, other)
    values = rows.sums(ratio[:, edge : size[1] - edge])
    values[is_same] = size[1] - 2 * edge
    return values[:, None]


def device_row_values(pictures: Tensor, sources: Tensor, *, size: Size) -> Tensor:
    """Return the sum of the formula over the whole windows around each row, where the pictures lie."""
    edge, one, other = _edge(size), pictures[:, 0], sources[:, 0]
    squares = one.square().add_(other.square())
    means = device_rows.blur(torch.stack([one, other, one * other, squares]), _SIDE, _SIGMA)
    product, mean_squares = means[0] * means[1], means[0].square().add_(means[1].square())
    covariance, variances = means[2].sub_(product), means[3].sub_(mean_squares)
    ratio = (2 * product + _C1) * (2 * covariance + _C2) / ((mean_squares + _C1) * (variances + _C2))
    values = device_rows.sums(ratio[..., edge : size[1] - edge])
    is_same = device_rows.alike_around(one, other, RADIUS_PX)
    return torch.where(is_same, float(size[1] - 2 * edge), values)[..., None]


def from_rows(values: RowValues, size: Size) -> float:
    """Return the mean SSIM of a picture whose rows these are."""
    edge = _edge(size)
    inside = values[edge : size[0] - edge]
    return float(inside.sum()) / ((size[0] - 2 * edge) * (size[1] - 2 * edge))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())


def _edge(size: Size) -> int:
    """Return at how many pixels from a picture's edge windows are whole; a picture smaller than one has all it can."""
    return RADIUS_PX if min(size) > 2 * RADIUS_PX else 0


def _without_change(alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the rows whose windows hold nothing but rows that are alike."""
    around = np.ones((_SIDE, 1), np.uint8)
    inside: NDArray[np.bool_] = cv2.erode(alike.astype(np.uint8)[:, None], around)[:, 0].astype(np.bool_)
    return inside


def _ratio(one: Plane, other: Plane) -> Plane:
    """Return the formula's value around each pixel."""
    # Every new array costs as much as the sums in it, so five are made and used again. Only the sum of the two
    # variances is asked for, so one filtering serves both.
    spare = one * other
    covariance = _window(spare)
    np.multiply(one, one, out=spare)
    variances = _window(cv2.accumulateSquare(other, spare))
    mean_one, mean_other = _window(one), _window(other)
    product: Plane = np.multiply(mean_one, mean_other, out=spare)
    squares: Plane = cv2.accumulateSquare(mean_other, np.multiply(mean_one, mean_one, out=mean_one))
    covariance -= product
    variances -= squares
    for twofold, constant in ((product, _C1), (covariance, _C2)):
        twofold *= 2
        twofold += constant
    squares += _C1
    variances += _C2
    product *= covariance
    squares *= variances
    product /= squares
    return product


def _window(plane: Plane) -> Plane:
    return cv2.GaussianBlur(plane, (_SIDE, _SIDE), _SIGMA, borderType=cv2.BORDER_REFLECT_101)
