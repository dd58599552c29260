"""Mean and deviation of ImageNet's pictures, by which encoders trained on it want theirs normalised."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Red, green, blue; sRGB 0..1."""


def mean() -> Tensor:
    """Return the mean as ``(1, 3, 1, 1)`` float32."""
    return torch.tensor(MEAN).view(1, 3, 1, 1)


def deviation() -> Tensor:
    """Return the standard deviation as ``(1, 3, 1, 1)`` float32."""
    return torch.tensor(DEVIATION).view(1, 3, 1, 1)
