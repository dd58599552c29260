"""Estimated noise as a share of full scale (Immerkaer 1996).

Fine texture counts too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import noise, planes
from workers.ops.planes import Planes

LUMA_ONLY = True


def update(picture: Planes) -> float:
    """Return the noise of one picture's luma."""
    return noise.immerkaer_sigma(planes.luma(picture))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over frames."""
    return float(values.mean())
