"""Likeness of luma to the source in dB: ``10 log10(1 / MSE)``, at most 100."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.planes import Planes

LUMA_ONLY = True
_MOST_DB = 100.0


def update(picture: Planes, source: Planes) -> float:
    """Return the PSNR of one frame's BT.601 luma, full scale 1."""
    one, other = planes.luma(picture), planes.luma(source)
    squared = cv2.norm(one, other, cv2.NORM_L2SQR) / one.size
    return float(min(_MOST_DB, -10 * np.log10(max(squared, 1e-12))))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
