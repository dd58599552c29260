"""LPIPS (Zhang and others 2018) with VGG-16: how unlike two pictures look to people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from workers.ops import perceptual
from workers.ops.planes import Planes


def update(picture: Planes, reference: Planes, *, judge: nn.Module) -> float:
    """Return the distance of one picture from its reference; ``ValueError`` below 32 pixels a side."""
    return perceptual.distance(judge, picture, reference)


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over pictures."""
    return float(values.mean())
