"""A metric of single frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMA_ONLY = True


def update(picture: NDArray[np.float32]) -> float:
    """Return the share of one frame's luma ``(1, H, W)`` that is above 0.9."""
    return float((picture > 0.9).mean())


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
