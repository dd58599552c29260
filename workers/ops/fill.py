"""Marked places of a frame, filled with what its neighbours show there, or with what lies around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from workers.ops import planes as planes_
from workers.ops.evidence import Evidence, Mask, median_and_spread, noise_by_level, noise_plane, rank
from workers.ops.planes import Plane, Planes
from workers.ops.specks import box, components, dilate, ring

_RING_PX = 3
_MARGIN_PX = 8
_PIECE_ROWS = 32
"""What is longer is filled in pieces: along a scratch, neighbours fit here and do not there."""
_MISFIT, _DISAGREEMENT = 1.8, 3.0
"""In units of noise: how far neighbours may stray from the frame around a place, and lie apart inside of it."""
_OUTLYING = 3.0
"""In units of noise: a neighbour that lies so far from the median counts for little."""
_INPAINT_RADIUS_PX = 3.0
_SOFTEST_EDGE_PX, _EDGE_SHARE, _CLEAR = 2, 0.2, 3.0
"""How wide the edge of damage may be; and how much of the damage must be seen in a pixel of it, which must also stand
out of what lies around, in units of how far that strays."""
_LEAST_WEIGHT = 1e-3
_LEAST_KNOWN = 0.5
"""Share of a place that some neighbour must show whole."""


@dataclass(frozen=True)
class Reference:
    """A neighbour as it would be seen in a frame."""

    planes: Planes
    """``(C, H, W)``, of the frame's exposure."""
    mask: Mask | None = None
    """``(H, W)``: where it is damaged itself; none where it is whole."""


@dataclass(frozen=True)
class _Testimony:
    """What all neighbours together show."""

    planes: Planes
    """``(C, H, W)``: their mean."""
    spread: Plane
    """How far apart their luma lies."""
    noise: Plane
    """Standard deviation of the frame's own noise in luma."""
    lost: Mask
    """Where none of them is whole."""

    def part(self, around: tuple[slice, slice]) -> _Testimony:
        return _Testimony(
            self.planes[:, around[0], around[1]], self.spread[around], self.noise[around], self.lost[around]
        )


def fill(
    picture: Planes,
    mask: Mask,
    references: Sequence[Reference],
    guessed: Mask | None = None,
    said: Evidence | None = None,
) -> tuple[Planes, Mask]:
    """Fill marked places.

    Args:
        picture: ``(C, H, W)``.
        mask: ``(H, W)``.
        references: Neighbours, where there are any.
        guessed: ``(H, W)``: what may be guessed from its surroundings if no neighbour shows it; other places are then
            left as they are. None: all.
        said: What ``evidence.weigh`` made of the luma of the picture and of all references, where it was asked already.

    Returns:
        The picture, and where it was changed: the mask, and around a place with soft edges those; of the mask only what
        neighbours show, where nothing may be guessed. Equal channels stay equal: what a place is filled with is decided
        once for all of them.
    """
    if not mask.any():
        return picture, mask
    luma, marked = planes_.luma(picture), mask.copy()
    places = list(_places(mask))
    for around, inside in places:
        inside |= _soft_edge(luma[around], inside, mask[around])
        marked[around] |= inside
    testimony = _hear(luma, references, said) if references else None
    filled, changed = picture.copy(), np.zeros_like(mask)
    for around, inside in places:
        place = (slice(None), *around)
        new = None
        if testimony is not None:
            new = _from_neighbors(picture[place], testimony.part(around), inside, marked[around])
        known = inside if new is None or testimony is None else inside & ~testimony.lost[around]
        may_guess = guessed is None or bool(guessed[around][inside].any())
        if may_guess and (new is None or (inside & ~known).any()):
            around_it = np.stack([_inpaint(plane, marked[around]) for plane in picture[place]])
            np.copyto(filled[place], around_it, where=inside)
            changed[around] |= inside
        if new is not None:
            np.copyto(filled[place], new, where=known)
            changed[around] |= known
    return filled, changed


def _places(mask: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Yield a box around each part of a mask, and the part alone within it; long ones in pieces."""
    count, parts, stats = components(mask)
    for part in range(1, count):
        left, top, width, height, _ = stats[part]
        for first, rows in _pieces(top, height):
            around = box((first, left, rows, width), mask.shape, _MARGIN_PX)
            inside = parts[around] == part
            inside[: first - around[0].start] = False
            inside[first - around[0].start + rows :] = False
            yield around, inside


def _pieces(top: int, height: int) -> Iterator[tuple[int, int]]:
    count = max(1, round(height / _PIECE_ROWS))
    bounds = [top + height * number // count for number in range(count + 1)]
    yield from ((first, last - first) for first, last in pairwise(bounds))


def _soft_edge(luma: Plane, inside: Mask, marked: Mask) -> Mask:
    """Return the pixels around a place that are damaged too, as the profile of its edge shows."""
    edge = np.zeros_like(inside)
    for _ in range(_SOFTEST_EDGE_PX):
        whole = inside | edge
        near = dilate(whole, 1) & ~whole & ~marked
        far = dilate(whole, _RING_PX) & ~dilate(whole, 1) & ~marked
        if not near.any() or not far.any():
            break
        level, aim = luma[inside].mean(), luma[far].mean()
        least = max(_EDGE_SHARE * abs(level - aim), _CLEAR * luma[far].std())
        edge |= near & ((luma - aim) * np.sign(level - aim) > least)
    return edge


def _hear(luma: Plane, references: Sequence[Reference], said: Evidence | None) -> _Testimony:
    """Return the mean of neighbours, those left out that are damaged or stray."""
    lumas, masks = [planes_.luma(each.planes) for each in references], [each.mask for each in references]
    if said is not None and all(mask is None for mask in masks):
        median, spread, noise = said.expected, said.spread, said.noise
    else:
        median, spread = _median_of_whole(lumas, masks)
        noise = noise_plane(noise_by_level(luma, lumas) if said is None else said.noise_levels, median)
    total, weights = np.zeros_like(references[0].planes), np.zeros_like(luma)
    lost = np.ones(luma.shape, np.bool_)
    for each, other in zip(references, lumas, strict=True):
        # A little of each is left, so that places stay known where all of them stray.
        stray = (other - median) / (_OUTLYING * noise)
        weight: Plane = np.maximum(cv2.exp(-0.5 * stray * stray), np.float32(_LEAST_WEIGHT))
        if each.mask is not None:
            weight[each.mask] = _LEAST_WEIGHT**2
        lost &= each.mask if each.mask is not None else False
        total += weight * each.planes
        weights += weight
    return _Testimony(total / weights, spread, noise, lost)


def _median_of_whole(lumas: Sequence[Plane], masks: Sequence[Mask | None]) -> tuple[Plane, Plane]:
    """Return median and range over those neighbours that are whole at a place; over all where none is."""
    if all(mask is None for mask in masks):
        return median_and_spread(lumas)
    damaged = [np.zeros(lumas[0].shape, np.bool_) if mask is None else mask for mask in masks]
    lost = np.logical_and.reduce(damaged)
    infinite = np.float32(np.inf)
    ranked = np.stack(rank([np.where(mask & ~lost, infinite, luma) for luma, mask in zip(lumas, damaged, strict=True)]))
    count = np.isfinite(ranked).sum(axis=0)[None]
    low, high, last = (
        np.take_along_axis(ranked, index, axis=0)[0] for index in ((count - 1) // 2, count // 2, count - 1)
    )
    return (low + high) / 2, last - ranked[0]


def _from_neighbors(picture: Planes, said: _Testimony, inside: Mask, marked: Mask) -> Planes | None:
    """Return what neighbours show, at the level of what lies around; none where they do not fit."""
    around = ring(inside, _RING_PX) & ~marked & ~said.lost
    known = inside & ~said.lost
    if not around.any() or known.sum() < _LEAST_KNOWN * inside.sum():
        return None
    usual = float(said.noise[known].mean())
    misfit = (planes_.luma(picture) - planes_.luma(said.planes))[around]
    if misfit.std() > _MISFIT * usual or said.spread[known].mean() > _DISAGREEMENT * usual:
        return None
    offsets = [own[around].mean() - other[around].mean() for own, other in zip(picture, said.planes, strict=True)]
    return np.stack([plane + offset for plane, offset in zip(said.planes, offsets, strict=True)])


def _inpaint(plane: Plane, mask: Mask) -> Plane:
    """Fill from what lies around (Bertalmio and others 2001)."""
    if mask.all() or min(plane.shape) < 3:
        return plane
    source = np.ascontiguousarray(plane, np.float32)
    return cv2.inpaint(source, mask.astype(np.uint8), _INPAINT_RADIUS_PX, cv2.INPAINT_NS)
