"""Thin marks of any direction in a single picture: cracks, creases, scratches on a print.

They can only be guessed: a line brighter, or darker, than both its sides is a crack, or hair, or the edge of a lip.
What is found here is a proposal.
"""

from __future__ import annotations

import cv2
import numpy as np

from workers.ops.evidence import Mask, robust_sigma
from workers.ops.planes import Plane

_ANGLES = 16
_LENGTH_PX = 15
_FLANK_PX = 4
_SURE, _GROWN = 6.0, 3.0
"""In units of what is usual in the picture: from where a mark begins, and goes on."""
_RIDGE_SHARE = 0.6
_LEAST_LENGTH_PX = 25


def find(plane: Plane, sensitivity: float, least_contrast: float, signs: tuple[int, ...]) -> Mask:
    """Return ``(H, W)``: thin marks brighter (sign 1) or darker (-1) than both their sides."""
    found = np.zeros(plane.shape, np.bool_)
    if min(plane.shape) <= _LENGTH_PX:
        return found
    for sign in signs:
        strength = _strongest_response(plane * np.float32(sign))
        usual = max(1e-6, robust_sigma(strength - np.median(strength)))
        sure = strength > max(_SURE * usual / sensitivity, least_contrast)
        # Beside a mark the lines that cross it respond too, but less.
        ridge = strength > _RIDGE_SHARE * cv2.dilate(strength, np.ones((5, 5), np.uint8))
        found |= _grow(sure & ridge, (strength > _GROWN * usual / sensitivity) & ridge)
    return found


def _strongest_response(plane: Plane) -> Plane:
    """Return over all directions the most by which a short line is brighter than the lines beside it."""
    best = np.full(plane.shape, -np.inf, np.float32)
    for number in range(_ANGLES):
        angle = np.pi * number / _ANGLES
        across = (-np.sin(angle) * _FLANK_PX, np.cos(angle) * _FLANK_PX)
        line = cv2.filter2D(plane, cv2.CV_32F, _line_kernel(angle), borderType=cv2.BORDER_REPLICATE)
        beside = np.maximum(_move(line, *across), _move(line, -across[0], -across[1]))
        np.maximum(best, line - beside, out=best)
    return best


def _line_kernel(angle: float) -> Plane:
    kernel = np.zeros((_LENGTH_PX, _LENGTH_PX), np.float32)
    along = np.arange(_LENGTH_PX) - _LENGTH_PX // 2
    rows = np.rint(along * np.sin(angle)).astype(np.intp) + _LENGTH_PX // 2
    columns = np.rint(along * np.cos(angle)).astype(np.intp) + _LENGTH_PX // 2
    kernel[rows, columns] = 1
    out: Plane = kernel / kernel.sum()
    return out


def _move(plane: Plane, right: float, down: float) -> Plane:
    """Return the plane as seen so many whole pixels off, the edge going on beyond it."""
    rows = np.clip(np.arange(plane.shape[0]) + round(down), 0, plane.shape[0] - 1)
    columns = np.clip(np.arange(plane.shape[1]) + round(right), 0, plane.shape[1] - 1)
    return plane[rows][:, columns]


def _grow(sure: Mask, possible: Mask) -> Mask:
    """Return the parts of what is possible that are long and hold something sure."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((possible | sure).astype(np.uint8), connectivity=8)
    chosen = np.zeros(count, np.bool_)
    chosen[np.unique(parts[sure])] = True
    chosen &= np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= _LEAST_LENGTH_PX
    chosen[0] = False
    grown: Mask = chosen[parts]
    return grown
