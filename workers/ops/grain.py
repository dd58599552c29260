"""Film grain: how strong and how coarse it is, and grain made like it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import flow
from workers.ops.planes import Plane

LEVELS = 8
"""Equal steps of luma, 0..1, for which grain is measured."""
REACH_PX = 7
"""Lags up to which grain of neighbouring pixels may be alike."""
_BLOCK_PX = 32
_SIDES_PX = (320, 448)
"""Height and width of the middle of a picture in which grain is measured."""
_EXPOSURE_SHRINK = 8
_EXPOSURE_SIGMA_PX, _MOST_EXPOSURE = 3.0, 0.12
_QUIETER_SHARE = 0.5
_FEWEST_BLOCKS = 3
_LEAST_VARIANCE = 1e-9
UNKNOWN = -1.0

Levels = NDArray[Any]
"""``(8,)``: variance or deviation of grain at the middle of each step of luma; -1 where it is not known."""
Likeness = NDArray[Any]
"""``(8, 15)``: how alike grain is at lags of 0..7 rows and -7..7 columns; its variance, or 1, at lag nothing."""


def measure(luma: Plane, before: Plane) -> tuple[Levels, Likeness]:
    """Return variances ``(8,)`` by level, -1 where unknown, and autocovariance ``(8, 15)`` of the grain of a frame.

    Grain is what differs from the frame before, block by block at whole pixels along the motion (fractions would blur
    it), in the quieter half of the blocks: in the others something moved or changed. A change of exposure is taken out.
    """
    luma, before = _middle(luma), _middle(before)
    blocks, means = _difference_blocks(luma, before)
    variances = blocks.var(axis=(1, 2)) / 2
    moved = variances > _LEAST_VARIANCE  # a repeated frame says nothing
    levels = np.full(LEVELS, UNKNOWN)
    level_of = np.clip((means * LEVELS).astype(np.intp), 0, LEVELS - 1)
    quiet = np.zeros(len(blocks), np.bool_)
    for level in range(LEVELS):
        chosen = np.flatnonzero(moved & (level_of == level))
        if len(chosen) < _FEWEST_BLOCKS:
            continue
        chosen = chosen[np.argsort(variances[chosen], kind="stable")[: max(1, round(len(chosen) * _QUIETER_SHARE))]]
        quiet[chosen] = True
        levels[level] = variances[chosen].mean()
    return levels, _autocovariance(blocks[quiet]) / 2


def kernel(likeness: Likeness) -> Plane:
    """Return the filter ``(15, 15)`` that gives white noise the likeness, and keeps its variance."""
    side = 4 * (REACH_PX + 1)
    table = np.zeros((side, side))
    lags = np.arange(-REACH_PX, REACH_PX + 1)
    taper = np.cos(np.pi / 2 * np.arange(REACH_PX + 1) / (REACH_PX + 1))[:, None] * np.cos(
        np.pi / 2 * lags / (REACH_PX + 1)
    )
    for row in range(REACH_PX + 1):
        table[row, lags] = table[-row, -lags] = likeness[row] * taper[row]
    amplitude = np.sqrt(np.maximum(np.fft.fft2(table).real, 0))
    whole = np.fft.fftshift(np.fft.ifft2(amplitude).real)
    inner = slice(side // 2 - REACH_PX, side // 2 + REACH_PX + 1)
    made: Plane = whole[inner, inner] / np.sqrt((whole[inner, inner] ** 2).sum())
    return made.astype(np.float32)


def field(generator: np.random.Generator, height: int, width: int, shape: Plane) -> Plane:
    """Return grain ``(height, width)`` of deviation 1, drawn from ``generator`` and filtered by ``shape``."""
    white = generator.standard_normal((height + 2 * REACH_PX, width + 2 * REACH_PX), dtype=np.float32)
    grain: Plane = cv2.filter2D(white, cv2.CV_32F, shape, borderType=cv2.BORDER_REFLECT_101)
    return grain[REACH_PX:-REACH_PX, REACH_PX:-REACH_PX]


def _middle(plane: Plane) -> Plane:
    (height, width), (tall, wide) = plane.shape, _SIDES_PX
    top, left = max(0, height - tall) // 2, max(0, width - wide) // 2
    return np.ascontiguousarray(plane[top : top + tall, left : left + wide])


def _difference_blocks(luma: Plane, before: Plane) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what blocks ``(N, 32, 32)`` differ by from where they came from, and their mean luma ``(N,)``."""
    offsets = flow.motion(flow.to_code(luma), flow.to_code(before))
    blocks, means = [], []
    exposure = _exposure_change(luma, before, offsets)
    for top in range(0, luma.shape[0] - _BLOCK_PX + 1, _BLOCK_PX):
        for left in range(0, luma.shape[1] - _BLOCK_PX + 1, _BLOCK_PX):
            place = slice(top, top + _BLOCK_PX), slice(left, left + _BLOCK_PX)
            x, y = np.rint(np.median(offsets[place].reshape(-1, 2), axis=0)).astype(int)
            inside = 0 <= top + y <= luma.shape[0] - _BLOCK_PX and 0 <= left + x <= luma.shape[1] - _BLOCK_PX
            if inside:
                origin = before[top + y : top + y + _BLOCK_PX, left + x : left + x + _BLOCK_PX]
                blocks.append(luma[place] - origin - exposure[place])
                means.append(luma[place].mean())
    return np.array(blocks).reshape(-1, _BLOCK_PX, _BLOCK_PX), np.array(means)


def _exposure_change(luma: Plane, before: Plane, offsets: NDArray[np.float32]) -> Plane:
    """Return what changed so smoothly that it is exposure."""
    difference = np.clip(luma - flow.warp(before[None], offsets)[0], -_MOST_EXPOSURE, _MOST_EXPOSURE)
    size = tuple(max(1, side // _EXPOSURE_SHRINK) for side in reversed(luma.shape))
    small = cv2.GaussianBlur(cv2.resize(difference, size, interpolation=cv2.INTER_AREA), (0, 0), _EXPOSURE_SIGMA_PX)
    change: Plane = cv2.resize(small, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return change


def _autocovariance(blocks: NDArray[Any]) -> Likeness:
    """Return the mean product of pixels some lags apart, from the spectrum of windowed blocks."""
    if not len(blocks):
        return np.zeros((REACH_PX + 1, 2 * REACH_PX + 1))
    window = np.hanning(_BLOCK_PX + 2)[1:-1]
    weight = window[:, None] * window
    centered = (blocks - blocks.mean(axis=(1, 2), keepdims=True)) * weight
    size = (2 * _BLOCK_PX, 2 * _BLOCK_PX)
    power = (np.abs(np.fft.rfft2(centered, size)) ** 2).mean(axis=0)
    place = np.ix_(np.arange(REACH_PX + 1), np.arange(-REACH_PX, REACH_PX + 1))
    of_window = np.fft.irfft2(np.abs(np.fft.rfft2(weight, size)) ** 2, size)
    lagged: Likeness = np.fft.irfft2(power, size)[place] / of_window[place]
    return lagged
