"""Likeness of structure to the source (Wang et al. 2004), -1 to 1. Only ``workers.scores`` loads it.

``SSIM = (2 mx my + C1)(2 cov + C2) / ((mx² + my² + C1)(vx + vy + C2))`` with Gaussian windows of 11 pixels, sigma 1.5,
C1 = 0.01², C2 = 0.03² at full scale 1, averaged over the windows that lie wholly inside the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.planes import Plane, Planes

_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def update(restored: Planes, source: Planes) -> float:
    """Return the mean SSIM of one frame's BT.601 luma."""
    one, other = planes.luma(restored), planes.luma(source)
    mean_one, mean_other = _window(one), _window(other)
    product = mean_one * mean_other
    squares = mean_one * mean_one + mean_other * mean_other
    # Only the sum of the two variances is asked for, so one filtering serves both.
    covariance = _window(one * other) - product
    variances = _window(one * one + other * other) - squares
    likeness = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return float(_whole(likeness).mean(dtype=np.float64))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())


def _window(plane: Plane) -> Plane:
    return cv2.GaussianBlur(plane, (_SIDE, _SIDE), _SIGMA, borderType=cv2.BORDER_REFLECT_101)


def _whole(likeness: Plane) -> Plane:
    margin = _SIDE // 2
    return likeness[margin:-margin, margin:-margin] if min(likeness.shape) > 2 * margin else likeness
