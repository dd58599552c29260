"""SSIM of MATLAB's Y, 16 to 235, of 8-bit pictures, as the tables of super-resolution have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import likeness, planes
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes, *, crop_px: int = 0) -> float:
    """Return the SSIM of one picture's luma, ``crop_px`` pixels left out at each side."""
    one, other = (planes.to_levels(planes.to_rgb(each)) for each in (picture, reference))
    return likeness.luma_ssim(one, other, crop_px)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
