"""Mean distance of each picture's colorfulness from its reference's, signed axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import colorfulness
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes) -> float:
    """Return how far the colorfulness of one picture is from its reference's."""
    return abs(colorfulness.signed(picture) - colorfulness.signed(reference))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
