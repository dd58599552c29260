"""What ``workers.ops.rows`` and OpenCV's filters do for scores, in tensors, where a picture lies on a device.

Sums are in float64, of each row by itself; filters add one shifted picture after the other, so that no library chooses
the order. Values differ from those of the cores by rounding alone.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import torch
from torch import Tensor
from torch.nn import functional


def sums(planes: Tensor) -> Tensor:
    """Return the sum of each row ``(…, H)`` float64 of planes ``(…, H, W)``."""
    return planes.sum(-1, dtype=torch.float64)


def square_sums(planes: Tensor) -> Tensor:
    """Return the sum of squares of each row ``(…, H)``, squared in float64."""
    return sums(planes.double().square_())


def alike_around(one: Tensor, other: Tensor, reach_px: int) -> Tensor:
    """Return of which rows ``(N, H)`` all within ``reach_px`` are the same in two sets of planes ``(N, H, W)``."""
    differs = (one != other).any(dim=-1).float()
    return functional.max_pool1d(differs, 2 * reach_px + 1, stride=1, padding=reach_px) == 0


def blur(planes: Tensor, side: int, sigma: float) -> Tensor:
    """Return planes ``(M, N, H, W)`` under Gaussian windows of ``side`` pixels, mirrored at edges without the edge."""
    weights = _gaussian(side, sigma)
    padded = _mirror(planes, side // 2)
    return _weigh(_weigh(padded, -1, weights), -2, weights)


def laplacian(planes: Tensor) -> Tensor:
    """Return what the four neighbours of each pixel of planes ``(N, H, W)`` are more than four times itself."""
    padded = _mirror(planes, 1)
    across, down = _second_difference(padded[:, 1:-1], -1), _second_difference(padded[..., 1:-1], -2)
    return across + down


def noise_response(planes: Tensor) -> Tensor:
    """Return the absolute response of planes ``(N, H, W)`` to the mask of ``workers.ops.noise``.

    That is second differences along both axes.
    """
    return _second_difference(_second_difference(_mirror(planes, 1), -1), -2).abs_()


@lru_cache(8)
def _gaussian(side: int, sigma: float) -> tuple[float, ...]:
    return tuple(float(weight) for weight in cv2.getGaussianKernel(side, sigma, cv2.CV_32F)[:, 0])


def _mirror(planes: Tensor, reach_px: int) -> Tensor:
    return functional.pad(planes, (reach_px,) * 4, mode="reflect")


def _weigh(planes: Tensor, axis: int, weights: tuple[float, ...]) -> Tensor:
    length = planes.shape[axis] - len(weights) + 1
    total = planes.narrow(axis, 0, length) * weights[0]
    for at, weight in enumerate(weights[1:], start=1):
        total.add_(planes.narrow(axis, at, length), alpha=weight)
    return total


def _second_difference(planes: Tensor, axis: int) -> Tensor:
    step = planes.narrow(axis, 1, planes.shape[axis] - 1) - planes.narrow(axis, 0, planes.shape[axis] - 1)
    return step.narrow(axis, 1, step.shape[axis] - 1) - step.narrow(axis, 0, step.shape[axis] - 1)
