"""Likeness of all channels of 8-bit pictures in dB, at most 100."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import likeness, planes
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes) -> float:
    """Return the PSNR of one picture."""
    return likeness.psnr(planes.to_levels(picture), planes.to_levels(reference))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
