"""Jumps of mean luma: root mean square of its second difference over the reel. Only ``workers.scores`` loads it.

A steady fade has no second difference; a cut has one, so reels of many shots score higher than their flicker alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.planes import Planes


def update(restored: Planes, source: Planes) -> float:
    """Return the mean luma of one restored frame; ``source`` is not looked at."""
    return float(planes.luma(restored).mean(dtype=np.float64))


def compute(values: NDArray[np.float64]) -> float:
    """Return the flicker over at least three frames' mean luma."""
    return float(np.sqrt(np.mean(np.diff(values, 2) ** 2)))
