"""How much the colours of neighbouring frames differ (CDC; Liu and others 2021).

For each channel the histogram of its 256 levels, as shares; between two frames the Jensen-Shannon divergence (natural
logarithm) of those histograms, mean of the channels. Frames 1, 2 and 4 apart count a third each. Grey or pale film
scores well, and so does film in which nothing moves: read it beside colorfulness, and beside the source's own value.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import reduce
from workers.ops.planes import Plane, Planes
from workers.ops.strips import strips

DISTANCES = (1, 2, 4)
_LEVELS = 256

Histograms = NDArray[np.float64]


def observe(picture: Planes) -> Histograms:
    """Return the share of each of 256 levels in each channel, ``(C, 256)``."""
    return np.stack([_count_levels(plane) / plane.size for plane in picture])


def update(earlier: Histograms, later: Histograms) -> float:
    """Return the divergence of two frames' histograms, 0 for equal ones, at most log 2."""
    middle = (earlier + later) / 2
    return float(np.mean((_divergence(earlier, middle) + _divergence(later, middle)) / 2))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over distances ``(D, N)`` of the mean over all pairs of one distance."""
    return reduce.mean_of_rows(values)


def _count_levels(plane: Plane) -> Histograms:
    """Return how many pixels of a plane have each of 256 levels."""
    counts = np.zeros(_LEVELS)
    for rows, (levels,) in strips(plane.shape, 1):
        np.clip(plane[rows], 0, 1, out=levels)
        coded = cv2.convertScaleAbs(levels, alpha=_LEVELS - 1)  # rounded half to even
        # Counted in float32, which is exact for as few pixels as a strip has.
        counts += cv2.calcHist([coded], [0], None, [_LEVELS], [0, _LEVELS]).ravel()
    return counts


def _divergence(some: Histograms, middle: Histograms) -> Histograms:
    ratio = np.divide(some, middle, out=np.ones_like(some), where=some > 0)
    divergence: Histograms = (some * np.log(ratio)).sum(axis=1)
    return divergence
