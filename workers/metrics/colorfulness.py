"""How colourful a picture is (Hasler and Suesstrunk 2003), on 0..255 with signed axes; 0 for grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import colorfulness
from workers.ops.planes import Planes


def update(picture: Planes) -> float:
    """Return the colorfulness of one picture."""
    return colorfulness.signed(picture)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
