"""Likeness of structure to the source (Wang et al. 2004), -1 to 1.

``SSIM = (2 mx my + C1)(2 cov + C2) / ((mx² + my² + C1)(vx + vy + C2))`` with Gaussian windows of 11 pixels, sigma 1.5,
C1 = 0.01², C2 = 0.03² at full scale 1, averaged over the windows that lie wholly inside the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.planes import Plane, Planes

LUMA_ONLY = True
_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def update(picture: Planes, source: Planes) -> float:
    """Return the mean SSIM of one frame's BT.601 luma."""
    one, other = planes.luma(picture), planes.luma(source)
    # Every new array costs as much as the sums in it, so five are made and used again. Only the sum of the two
    # variances is asked for, so one filtering serves both.
    spare = one * other
    covariance = _window(spare)
    np.multiply(one, one, out=spare)
    variances = _window(cv2.accumulateSquare(other, spare))
    mean_one, mean_other = _window(one), _window(other)
    product = np.multiply(mean_one, mean_other, out=spare)
    squares = cv2.accumulateSquare(mean_other, np.multiply(mean_one, mean_one, out=mean_one))
    covariance -= product
    variances -= squares
    return _mean_ratio(product, covariance, squares, variances)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())


def _window(plane: Plane) -> Plane:
    return cv2.GaussianBlur(plane, (_SIDE, _SIDE), _SIGMA, borderType=cv2.BORDER_REFLECT_101)


def _mean_ratio(product: Plane, covariance: Plane, squares: Plane, variances: Plane) -> float:
    """Return the mean of the formula over whole windows; all four arrays are spent."""
    for twofold, constant in ((product, _C1), (covariance, _C2)):
        twofold *= 2
        twofold += constant
    squares += _C1
    variances += _C2
    product *= covariance
    squares *= variances
    product /= squares
    margin = _SIDE // 2
    return float(cv2.mean(product[margin:-margin, margin:-margin] if min(product.shape) > 2 * margin else product)[0])
