"""The network: a 1 x 1 convolution from light to colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def build(name: str) -> nn.Module:
    """Return the bare network."""
    return nn.Conv2d(1, 2, 1).eval()


def chroma(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return a and b ``(N, 2, 8, 8)`` for pictures ``(N, 3, H, W)`` of 0..1."""
    light = functional.adaptive_avg_pool2d(pictures.mean(1, keepdim=True), 8)
    tint: Tensor = 40 * network(light)
    return tint


def reference_output(network: nn.Module, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture as it is: no program was published."""
    return picture
