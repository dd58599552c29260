"""How unnatural a picture looks without a reference (NIQE; Mittal, Soundararajan and Bovik 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops import naturalness, planes
from workers.ops.naturalness import PristineTable
from workers.ops.planes import Planes


def update(picture: Planes, *, judge: PristineTable) -> float:
    """Return NIQE of one picture; ``ValueError`` where it is too small or too flat."""
    return naturalness.niqe(planes.to_levels(picture), judge.pristine())


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
