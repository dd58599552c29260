"""Bicubic resampling as MATLAB's ``imresize`` has it, and as Pillow has it.

On the first the tables of super-resolution and NIQE stand, on the second clean-fid. Both have Keys' kernel with
a = -1/2, widened where the picture shrinks; MATLAB mirrors the edges, Pillow leaves out what lies outside.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]
Plane = NDArray[np.float64]


def bicubic(picture: NDArray[np.generic], scale: float) -> Plane:
    """Return a picture ``(H, W)`` or ``(H, W, C)`` at ``scale`` times its size, sides rounded up, not clipped."""
    down, right = (_weights(side, math.ceil(side * scale), scale) for side in picture.shape[:2])
    return _resample(picture, down, right)


def bicubic_levels(picture: Levels, scale: float) -> Levels:
    """Return :func:`bicubic` of an 8-bit picture, clipped and rounded as MATLAB does."""
    return np.asarray(np.floor(np.clip(bicubic(picture, scale), 0, 255) + 0.5), np.uint8)


def pillow_bicubic(picture: NDArray[np.generic], height: int, width: int) -> Plane:
    """Return a picture ``(H, W, C)`` at another size as Pillow resamples floats, not clipped."""
    sides = zip(picture.shape[:2], (height, width), strict=True)
    down, right = (_weights(side, count, count / side, mirror=False) for side, count in sides)
    return _resample(picture, down, right)


def _resample(picture: NDArray[np.generic], down: Plane, right: Plane) -> Plane:
    planes = np.atleast_3d(picture).astype(np.float64)
    rows = np.einsum("oh,hwc->owc", down, planes, optimize=True)
    resized = np.einsum("ow,hwc->hoc", right, rows, optimize=True)
    return np.asarray(resized.reshape(*resized.shape[:2], *picture.shape[2:]), np.float64)


def _weights(length: int, count: int, scale: float, *, mirror: bool = True) -> Plane:
    """Return ``(count, length)``: how much of each place goes into each new one."""
    wide = max(1.0, 1 / scale)
    centers = (np.arange(count) + 0.5) / scale - 0.5
    reach = math.ceil(2 * wide) + 1
    places = np.floor(centers)[:, None] + np.arange(-reach, reach + 1)
    shares = _keys((centers[:, None] - places) / wide)
    if not mirror:
        shares[(places < 0) | (places >= length)] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    # Mirrored with the edge itself twice: 1 0 | 0 1 2 | 2 1.
    folded = np.mod(places, 2 * length)
    folded = np.where(folded >= length, 2 * length - 1 - folded, folded).astype(np.intp)
    table = np.zeros((count, length))
    np.add.at(table, (np.arange(count)[:, None], folded), shares)
    return table


def _keys(distance: Plane) -> Plane:
    x = np.abs(distance)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))
