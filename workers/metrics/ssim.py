"""Likeness of structure of 8-bit pictures (Wang et al. 2004), the mean of the channels, -1 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import likeness, planes
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes) -> float:
    """Return the SSIM of one picture."""
    return likeness.ssim(planes.to_levels(picture), planes.to_levels(reference))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
