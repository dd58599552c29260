"""A metric of neighbouring frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DISTANCES = (2,)


def observe(picture: NDArray[np.float32]) -> float:
    """Return the mean of one frame."""
    return float(picture.mean())


def update(earlier: float, later: float) -> float:
    """Return how far two frames are apart."""
    return abs(later - earlier)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pairs ``(1, N)``."""
    return float(np.nanmean(values))
