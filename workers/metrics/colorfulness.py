"""How colourful the picture is (Hasler and Suesstrunk 2003), 0 for grey.

With ``rg = R - G`` and ``yb = (R + G) / 2 - B`` on 0..255:
``sqrt(std(rg)² + std(yb)²) + 0.3 sqrt(mean(rg)² + mean(yb)²)``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Planes


def update(restored: Planes, source: Planes) -> float:
    """Return the colourfulness of one restored frame; ``source`` is not looked at."""
    if len(restored) == 1:
        return 0.0
    red, green, blue = restored
    rg_mean, rg_std = _moments(red - green)
    yb_mean, yb_std = _moments(cv2.subtract(cv2.addWeighted(red, 0.5, green, 0.5, 0), blue))
    return float(255 * (np.hypot(rg_std, yb_std) + 0.3 * np.hypot(rg_mean, yb_mean)))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())


def _moments(axis: NDArray[np.float32]) -> tuple[float, float]:
    mean, std = cv2.meanStdDev(axis)
    return float(mean.item()), float(std.item())
