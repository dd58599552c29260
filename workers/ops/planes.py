"""Frames as arrays of planes, their luma, and luma put back into colour.

A *plane* is ``(H, W)`` float32; *planes* are ``(C, H, W)`` float32 with C = 1 (grey) or 3 (RGB), 0..1, gamma as in the
source. Values a little outside 0..1 are legal everywhere.
Their types leave the sample open only because OpenCV's stubs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from workers.ops.strips import aligned, strips

Plane = NDArray[Any]
Planes = NDArray[Any]

_RED, _GREEN, _BLUE = np.float32(0.299), 0.587, 0.114
_DARK = 0.02
"""Below this luma a ratio would amplify noise without bound."""


def from_frame(frame: torch.Tensor) -> Planes:
    """Return a frame ``(C, H, W)`` as an array in main memory, shared with the tensor where that is possible."""
    return np.ascontiguousarray(frame.detach().cpu().numpy(), dtype=np.float32)


def to_frames(pictures: Sequence[Planes], like: torch.Tensor) -> torch.Tensor:
    """Stack planes to ``(T, C, H, W)`` on the device of ``like``."""
    return torch.from_numpy(np.stack(pictures).astype(np.float32, copy=False)).to(like.device)


def luma(planes: Planes) -> Plane:
    """Return BT.601 luma of gamma-coded planes; a single channel is its own luma and is shared, not copied."""
    first: Plane = planes[0]
    if planes.shape[0] == 1:
        return first
    # Summed plane by plane: a matrix product may round in another order on another number of threads.
    out: Plane = first * _RED
    cv2.scaleAdd(planes[1], _GREEN, out, out)
    cv2.scaleAdd(planes[2], _BLUE, out, out)
    return out


def with_luma(planes: Planes, old: Plane, new: Plane, out: Planes | None = None) -> Planes:
    """Return ``planes`` with luma ``new`` in place of ``old``, ratios between channels kept; in ``out`` if it is given.

    Equal channels stay exactly equal. Near black, where a ratio is unbounded, the difference is added instead.
    """
    if planes.shape[0] == 1:
        if out is None:
            return np.expand_dims(new, 0)
        out[0] = new
        return out
    dtype = np.result_type(planes, old, new)
    if out is None:
        out = aligned(planes.shape, dtype)
    for rows, (ratio, offset) in strips(new.shape, 2, dtype=dtype):
        np.divide(new[rows], np.maximum(old[rows], _DARK, out=ratio), out=ratio)
        np.clip(ratio, 0, 4, out=ratio)
        np.subtract(new[rows], np.multiply(old[rows], ratio, out=offset), out=offset)
        for plane, changed in zip(planes[:, rows], out[:, rows], strict=True):
            np.multiply(plane, ratio, out=changed)
            changed += offset
    return out


def from_levels(levels: NDArray[np.uint8]) -> Planes:
    """Return planes of an 8-bit picture ``(H, W, C)``."""
    return np.ascontiguousarray(levels.transpose(2, 0, 1), np.float32) / np.float32(255)


def to_levels(planes: Planes) -> NDArray[np.uint8]:
    """Return the 8-bit picture ``(H, W, C)`` of planes: clipped, then rounded; undoes :func:`from_levels` exactly."""
    levels = np.rint(np.clip(planes, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def to_rgb(planes: Planes) -> Planes:
    """Return three channels of planes with one or three."""
    return planes if len(planes) == 3 else np.repeat(planes, 3, axis=0)


def resize_to_fit(planes: Planes, side_px: int) -> Planes:
    """Return planes made smaller so that no side is longer than ``side_px``; small ones as they are."""
    height, width = planes.shape[1:]
    share = min(1.0, side_px / max(height, width))
    return resize_area(planes, max(1, round(height * share)), max(1, round(width * share)))


def resize_area(planes: Planes, height: int, width: int) -> Planes:
    """Return planes at another size, each new pixel the mean of the area that it covers."""
    if planes.shape[1:] == (height, width):
        return planes
    return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in planes])
