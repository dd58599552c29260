"""Distance of the mean colorfulness of two sets, signed axes: ``|mean - mean|``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import colorfulness
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes) -> tuple[float, float]:
    """Return the colorfulness of both."""
    return colorfulness.signed(picture), colorfulness.signed(reference)


def compute(values: NDArray[np.float64]) -> float:
    """Return the distance of the two columns' means."""
    return float(abs(values[:, 0].mean() - values[:, 1].mean()))
