"""How unnatural a picture looks without a reference: NIQE (Mittal, Soundararajan, Bovik 2013).

A picture's luma is normalised by its surroundings; how that is distributed in blocks of 96 pixels, at two scales, is
36 numbers a block. Their Gaussian is compared with that of pristine photographs, which a parameter file holds. It
rewards sharpening and takes grain for a fault: a trend, not a verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import bicubic, likeness

Levels = NDArray[np.uint8]
Plane = NDArray[np.float64]

BLOCK_PX = 96
FEATURES = 36
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True)
class Pristine:
    """What photographs without faults are like."""

    mean: Plane
    """``(36,)``."""
    covariance: Plane
    """``(36, 36)``."""
    window: Plane
    """``(7, 7)``: the weights of the surroundings, sum 1."""


class PristineTable(Protocol):
    """What knows of photographs without faults."""

    def pristine(self) -> Pristine:
        """Return what it knows."""


def niqe(picture: Levels, pristine: Pristine) -> float:
    """Return NIQE of an 8-bit sRGB picture ``(H, W, 3)`` or grey one ``(H, W, 1)``: 0 is pristine, 10 is bad.

    Raises:
        ValueError: The picture is smaller than a block.
    """
    rows = features(picture, pristine.window)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) < 2:
        raise ValueError(f"NIQE wants at least two blocks of {BLOCK_PX} x {BLOCK_PX} pixels that are not flat")
    apart = rows.mean(axis=0) - pristine.mean
    middle = np.linalg.pinv((np.cov(rows, rowvar=False) + pristine.covariance) / 2)
    return float(np.sqrt(max(0.0, apart @ middle @ apart)))


def features(picture: Levels, window: Plane) -> Plane:
    """Return 36 numbers a block ``(N, 36)``; those of a flat block are not finite."""
    luma = np.rint(likeness.luma(picture)) if picture.shape[2] == 3 else picture[..., 0].astype(np.float64)
    down, right = (side // BLOCK_PX for side in luma.shape)
    luma = luma[: down * BLOCK_PX, : right * BLOCK_PX]
    scales = []
    for block in (BLOCK_PX, BLOCK_PX // 2):
        plain = _normalize(luma, window)
        corners = [(row * block, column * block) for column in range(right) for row in range(down)]
        scales.append([_numbers(plain[top : top + block, left : left + block]) for top, left in corners])
        luma = bicubic.bicubic(luma / 255, 0.5) * 255 if luma.size else luma
    return np.concatenate([np.array(rows, np.float64).reshape(-1, FEATURES // 2) for rows in scales], axis=1)


def _normalize(luma: Plane, window: Plane) -> Plane:
    if not luma.size:
        return luma
    mean = cv2.filter2D(luma, cv2.CV_64F, window, borderType=cv2.BORDER_REPLICATE)
    squares = cv2.filter2D(luma**2, cv2.CV_64F, window, borderType=cv2.BORDER_REPLICATE)
    return np.asarray((luma - mean) / (np.sqrt(np.abs(squares - mean**2)) + 1))


def _numbers(block: Plane) -> list[float]:
    shape, left, right = fit_gaussian(block)
    numbers = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = fit_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape) if math.isfinite(shape) else math.nan
        numbers += [shape, mean, left, right]
    return numbers


def fit_gaussian(values: Plane) -> tuple[float, float, float]:
    """Return shape and both widths of the asymmetric generalised Gaussian that the values follow."""
    below, above = values[values < 0], values[values > 0]
    if not (below.size and above.size):
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    ratio = left / right
    spread = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    target = spread * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _shapes()
    shape = float(shapes[np.argmin((ratios - target) ** 2)])
    width = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * width, right * width


@cache
def _shapes() -> tuple[Plane, Plane]:
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = [math.gamma(2 / shape) ** 2 / (math.gamma(1 / shape) * math.gamma(3 / shape)) for shape in shapes]
    return shapes, np.array(ratios)
