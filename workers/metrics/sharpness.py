"""Energy of fine detail: variance of the Laplacian of luma, times 100."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.planes import Planes

LUMA_ONLY = True


def update(picture: Planes) -> float:
    """Return the sharpness of one picture (4-neighbour Laplacian)."""
    detail = cv2.Laplacian(planes.luma(picture), cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101)
    return float(100 * cv2.meanStdDev(detail)[1].item() ** 2)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
