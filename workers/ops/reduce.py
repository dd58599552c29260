"""Reduces values of many pairs of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_of_rows(values: NDArray[np.float64]) -> float:
    """Return the mean over rows of each row's mean, NaN left out; NaN where nothing else is there."""
    means = [float(np.nanmean(row)) for row in values if np.isfinite(row).any()]
    return float(np.mean(means)) if means else float("nan")
