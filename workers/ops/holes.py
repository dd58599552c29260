"""Holes in a picture: their parts, and what is around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from workers.ops import patch_match
from workers.ops.patch_match import Hole
from workers.ops.planes import Plane, Planes

Place = tuple[slice, slice]
"""Rows and columns."""
_JOIN_PX = 8
"""Holes with less between them are filled as one."""
_LEAST_MARGIN_PX = 64
"""Of the picture around a hole, what patches may be copied from; more around large holes."""
_REACH_PX = 3
"""How far diffusion looks around."""
_COARSE = 8
"""Low-passes are computed on a picture so many times smaller."""
_LOW_PASS_PX = 24.0
_MOST_FLICKER = 0.12
"""Greater differences are things that moved."""


def widen(hole: Hole, by_px: int) -> Hole:
    """Return the hole with a margin of ``by_px`` all around, round at corners."""
    if by_px == 0:
        return hole
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1, 2 * by_px + 1))
    wide: Hole = cv2.dilate(hole.astype(np.uint8), shape) > 0
    return wide


def parts(hole: Hole, margin: int = 0) -> Iterator[tuple[Place, Hole]]:
    """Yield the connected parts of a hole: the box of each with ``margin`` pixels around it, and the part in it."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        left, top, width, height = (int(value) for value in boxes[number, :4])
        place = _place(left, top, width, height, margin, hole.shape)
        yield place, labels[place] == number


def thick_parts(hole: Hole, more_than_px: int) -> Hole:
    """Return where a hole is thicker than so many pixels; a thin branch of a thick part is thin."""
    side = more_than_px + 1
    shape = np.ones((side, side), np.uint8)
    padded = cv2.copyMakeBorder(hole.astype(np.uint8), side, side, side, side, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    # Opening rounds corners off; they belong to the part whose corners they are.
    thick: Hole = (cv2.dilate(opened, shape)[side:-side, side:-side] > 0) & hole
    return thick if opened.any() else np.zeros_like(hole)


def ring(hole: Hole, width_px: int) -> Hole:
    """Return what lies within ``width_px`` around a hole."""
    return widen(hole, width_px) & ~hole


def diffuse(picture: Planes, hole: Hole) -> Planes:
    """Return the picture with the hole filled by what flows in from its edge (Bertalmio, Bertozzi, Sapiro 2001)."""
    if not hole.any() or hole.all():
        return picture
    out = picture.copy()
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    place = _place(left, top, width, height, 2 * _REACH_PX, hole.shape)
    inside = hole[place].astype(np.uint8)
    for plane in out:
        plane[place] = cv2.inpaint(np.ascontiguousarray(plane[place]), inside, _REACH_PX, cv2.INPAINT_NS)
    return out


def fill_groups(picture: Planes, hole: Hole, work: Callable[[Planes, Hole, Hole, int], Planes | None]) -> Planes:
    """Return the picture with its hole filled by ``work``, a group of close parts at a time.

    Args:
        picture: ``(C, H, W)``, with a first guess in the hole.
        hole: ``(H, W)`` bool.
        work: Given a group's surroundings ``(C, h, w)``, the group in them, other holes in them, and a number that no
            other place has, it returns them filled, or none for what is to stay as it was guessed.
    """
    out = picture.copy()
    for joined, group in parts(widen(hole, _JOIN_PX)):
        margin = max(_LEAST_MARGIN_PX, *group.shape)
        place = _place(joined[1].start, joined[0].start, group.shape[1], group.shape[0], margin, hole.shape)
        own = np.zeros_like(hole[place])
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(joined, place, strict=True))
        own[inner] = group & hole[joined]
        key = joined[0].start * hole.shape[1] + joined[1].start
        filled = work(out[:, *place], own, hole[place] & ~own, key)
        if filled is not None:
            out[:, *place] = np.where(own, filled, out[:, *place])
    return out


def fill_with_patches(picture: Planes, hole: Hole, number: int) -> Planes:
    """Return the picture, its hole filled with patches of its own where there are any to be had.

    Args:
        picture: ``(C, H, W)``, with a first guess in the hole.
        hole: ``(H, W)`` bool.
        number: Of the frame; what chance brings is keyed by it.
    """

    def work(around: Planes, own: Hole, others: Hole, key: int) -> Planes | None:
        # Keyed by place as well, so that no hole depends on how many there are besides.
        return patch_match.fill(around, own, others, np.random.Generator(np.random.Philox(key=[number, key])))

    return fill_groups(picture, hole, work)


def match_exposure(shown: Planes, picture: Planes, unknown: Hole) -> Planes:
    """Return ``shown`` with the brightness of ``picture``, place by place; both show the same, flicker apart.

    The low-pass of their difference is added, measured outside ``unknown`` and carried on into it.
    """
    known = (~unknown).astype(np.float32)
    height, width = known.shape
    size = (max(1, width // _COARSE), max(1, height // _COARSE))
    weight = _blur(cv2.resize(known, size, interpolation=cv2.INTER_AREA))
    if not known.any():
        return shown
    out = []
    for one, other in zip(picture, shown, strict=True):
        difference = np.clip(one - other, -_MOST_FLICKER, _MOST_FLICKER) * known
        low = _blur(cv2.resize(difference, size, interpolation=cv2.INTER_AREA)) / np.maximum(weight, 1e-3)
        out.append(other + cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.stack(out)


def _blur(plane: Plane) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), _LOW_PASS_PX / _COARSE, borderType=cv2.BORDER_REPLICATE)


def _place(left: int, top: int, width: int, height: int, margin: int, shape: tuple[int, ...]) -> Place:
    """Return a box with a margin around it, within the picture."""
    rows = slice(max(0, top - margin), min(shape[0], top + height + margin))
    return rows, slice(max(0, left - margin), min(shape[1], left + width + margin))
