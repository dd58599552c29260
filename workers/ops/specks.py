"""Small damage that is in one frame alone: dust, dirt, hairs, holes in the emulsion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.evidence import Evidence, Mask
from workers.ops.planes import Plane

_WIDE_SEED, _FINE_SEED = 7.0, 8.4
_WIDE_GROWTH, _FINE_GROWTH, _LEAST_FINE = 4.0, 5.6, 2.8
"""Deviations from which damage is sure, and from which it goes on around what is sure."""
_RING_PX = 3
_STANDS_ALONE = 0.8
_LEAST_PX = 2
_LINE_ROWS, _LINE_SHARE = 24, 6
"""Rows, and how many times as tall as wide, from which a part is a piece of a scratch. Those are found as a whole or
not at all: what is left of one that was taken out in pieces is hard to find."""


@dataclass(frozen=True)
class Limits:
    """What is taken for a speck."""

    seed_share: float = 1.0
    """Of the deviation from which damage is sure: less finds more."""
    least_contrast: float = 0.05
    """Mean difference from what is expected."""
    largest_px: int = 4000
    """Pixels of one speck."""
    signs: tuple[int, ...] = (1, -1)
    """1 for what is brighter than it should be, -1 for what is darker."""


def find(plane: Plane, evidence: Evidence, limits: Limits) -> Mask:
    """Return ``(H, W)``: where a frame's plane has specks that its neighbours have not."""
    found = np.zeros(plane.shape, np.bool_)
    for sign in limits.signs:
        found |= _find_of_sign(plane, evidence, limits, sign)
    return found


def _find_of_sign(plane: Plane, evidence: Evidence, limits: Limits, sign: int) -> Mask:
    fine, wide = sign * evidence.fine, sign * evidence.wide
    sure = (wide > _WIDE_SEED * limits.seed_share) | (fine > _FINE_SEED * limits.seed_share)
    # What is blurred reaches beyond the edges of strong damage.
    sure &= fine > _LEAST_FINE
    found = np.zeros(plane.shape, np.bool_)
    if not sure.any():
        return found
    grown = sure | (((wide > _WIDE_GROWTH) | (fine > _FINE_GROWTH)) & (fine > _LEAST_FINE))
    _, parts, stats = components(grown)
    for part in np.unique(parts[sure]):
        left, top, width, height, size = stats[part]
        is_piece_of_scratch = height >= max(_LINE_ROWS, _LINE_SHARE * width)
        if is_piece_of_scratch or not _LEAST_PX <= size <= limits.largest_px:
            continue
        around = box((top, left, height, width), plane.shape, _RING_PX)
        inside = parts[around] == part
        if _is_speck(sign * plane[around], sign * evidence.expected[around], inside, limits):
            found[around] |= inside
    return found


def _is_speck(plane: Plane, expected: Plane, inside: Mask, limits: Limits) -> bool:
    """Whether a bright part of the picture differs from what is expected, and from its own surroundings too.

    What moves uncovers and hides places, and there neighbours expect another thing; but it looks like what is beside
    it in its own frame. A speck looks like nothing beside it.
    """
    level, aim = float(plane[inside].mean()), float(expected[inside].mean())
    if level - aim < limits.least_contrast:
        return False
    around = plane[ring(inside, _RING_PX)]
    return bool(around.size and (around < (level + aim) / 2).mean() >= _STANDS_ALONE)


def components(mask: NDArray[Any]) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    """Return the count of the parts of a mask, the ground among them; ``(H, W)`` whose part each pixel is; their boxes.

    Rows of boxes are OpenCV's, ``cv2.CC_STAT_…``. By blocks (Grana and others 2010): on masks that are nearly empty it
    takes a third of what OpenCV's own choice does.
    """
    levels = np.ascontiguousarray(mask).view(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(levels, 8, cv2.CV_32S, cv2.CCL_GRANA)
    return count, parts.astype(np.int32, copy=False), stats.astype(np.int32, copy=False)


def box(bounds: tuple[int, int, int, int], shape: tuple[int, ...], margin_px: int) -> tuple[slice, slice]:
    """Return the part of a plane of ``shape`` with bounds (top, left, height, width) and a margin around them."""
    top, left, height, width = (int(each) for each in bounds)
    return (
        slice(max(0, top - margin_px), min(shape[0], top + height + margin_px)),
        slice(max(0, left - margin_px), min(shape[1], left + width + margin_px)),
    )


def ring(inside: Mask, width_px: int) -> Mask:
    """Return the pixels around a mask, up to ``width_px`` away."""
    return dilate(inside, width_px) & ~inside


def dilate(mask: Mask, reach_px: int) -> Mask:
    """Return a mask grown by ``reach_px`` on all sides."""
    side = 2 * reach_px + 1
    kernel: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0
