"""Holes filled with patches of the picture's own, found by PatchMatch on a pyramid.

Every patch that touches the hole looks for the patch outside that is most like it; every pixel of the hole is then the
mean of what the patches over it propose, likelier ones counting more (Wexler, Shechtman, Irani 2007). The search tries
what the patches beside have found, and chance (Barnes and others 2009). It begins where the hole is a few pixels wide,
so that structure is settled before detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from workers.ops.planes import Planes

Hole = NDArray[np.bool_]
"""``(H, W)``: pixels that are not known."""
_RADIUS_PX = 3
_TOP_THICKNESS_PX = 2.0
_SWEEPS, _ROUNDS = (14, 5, 3), (5, 3, 3)
"""How often pixels are made anew, and rounds of the search each time: on the coarsest level, between, on the finest."""
_REACH_PX = 64
"""How far the search looks around what it has; on the coarsest level everywhere."""
_MOST_PATCHES = 40_000
"""On a level with more of them nothing is searched: places are taken over from the coarser one."""
_TRUST_FALL = 2.0
"""By how much a pixel, or a patch by its middle, counts less with every pixel that it lies deeper in the hole."""


@dataclass
class _Level:
    """A picture of the pyramid, its patches, and for each that touches the hole the place of the one most like it."""

    picture: NDArray[np.float32]
    """``(H * W, C)``."""
    hole: Hole
    radius: int
    offsets: NDArray[np.int64]
    """Of a patch's pixels from its middle, in the flat picture."""
    usable: NDArray[np.bool_]
    """``(H * W,)``: middles of patches without unknown pixels."""
    targets: NDArray[np.int64]
    """``(N,)``: middles of patches that touch the hole."""
    index: NDArray[np.int64]
    """``(H * W,)``: number of the target with this middle, or -1."""
    found: NDArray[np.int64]
    """``(N,)``: middle of the patch most like each."""
    distance: NDArray[np.float32]
    """``(N,)``: mean squared difference to it."""
    reliability: NDArray[np.float32]
    """``(N,)``: how near the known picture each lies, 1 at its edge."""
    shares: NDArray[np.float32]
    """``(N, values of a patch)``: what each value counts in the distance, more where it is known; together 1. Empty
    where nothing is searched."""

    @property
    def is_searched(self) -> bool:
        """Whether it is small enough to be searched; a larger one takes over what the coarser one found."""
        return self.targets.size <= _MOST_PATCHES

    @property
    def patches(self) -> NDArray[np.float32]:
        """All patches, a view ``(H', W', rows, columns * C)`` by their upper left corners."""
        side, channels = 2 * self.radius + 1, self.picture.shape[1]
        flat = self.picture.reshape(self.hole.shape[0], -1)
        return sliding_window_view(flat, (side, side * channels))[:, ::channels]

    def patches_at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return patches ``(N, values)`` by the places of their middles."""
        y, x = np.divmod(places, self.hole.shape[1])
        # A window copied whole is several times quicker than pixels gathered one by one.
        found: NDArray[np.float32] = self.patches[y - self.radius, x - self.radius].reshape(len(places), -1)
        return found


def fill(picture: Planes, hole: Hole, barred: Hole, rng: np.random.Generator) -> Planes | None:
    """Return the picture with the hole filled; none where no patch is free to be copied.

    Args:
        picture: ``(C, H, W)``; what it holds within the hole is only a first guess.
        hole: ``(H, W)`` bool.
        barred: ``(H, W)`` bool: what lies outside the hole and is not to be copied either.
        rng: Makes the chances; the same state gives the same picture.
    """
    pyramid = _pyramid(picture, hole, barred)
    level = None
    for number, (small, small_hole, small_barred) in enumerate(reversed(pyramid)):
        finest = number == len(pyramid) - 1
        finer = _begin_level(small, small_hole, small_barred, level, rng)
        if finer is None:
            return None
        level = finer
        kind = 0 if number == 0 else 2 if finest else 1
        reach = max(small_hole.shape) if number == 0 else _REACH_PX
        for _ in range(_SWEEPS[kind] if level.is_searched else 0):
            _search(level, _ROUNDS[kind], reach, rng)
            _vote(level)
    assert level is not None
    _copy_middles(level)
    return np.ascontiguousarray(level.picture.reshape(*hole.shape, -1).transpose(2, 0, 1))


def thickness_px(hole: Hole) -> float:
    """Return how thick the thickest part of a hole is, in pixels; what lies outside the picture counts as known."""
    padded = cv2.copyMakeBorder(hole.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())


def _pyramid(picture: Planes, hole: Hole, barred: Hole) -> list[tuple[Planes, Hole, Hole]]:
    """Return picture, hole and what is barred at falling sizes, until the hole is thin or the picture small."""
    levels = [(picture, hole, barred)]
    while thickness_px(levels[-1][1]) > 2 * _TOP_THICKNESS_PX and min(levels[-1][1].shape) >= 8 * _RADIUS_PX:
        levels.append(_halve(*levels[-1]))
    return levels


def _halve(picture: Planes, hole: Hole, barred: Hole) -> tuple[Planes, Hole, Hole]:
    """Return all at half the size; a pixel is the mean of what is known in its area."""
    height, width = ((side + 1) // 2 for side in hole.shape)
    known = (~hole).astype(np.float32)
    share = cv2.resize(known, (width, height), interpolation=cv2.INTER_AREA)
    sums = [cv2.resize(plane * known, (width, height), interpolation=cv2.INTER_AREA) for plane in picture]
    whole = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in picture]
    small = np.stack([np.where(share > 0.01, s / np.maximum(share, 0.01), w) for s, w in zip(sums, whole, strict=True)])
    shut = cv2.resize(barred.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
    return small.astype(np.float32), share < 0.5, shut


# -- a level


def _begin_level(
    picture: Planes, hole: Hole, barred: Hole, coarser: _Level | None, rng: np.random.Generator
) -> _Level | None:
    """Return a level with a first guess of what is like what: chance, or what the coarser one found."""
    height, width = hole.shape
    radius = min(_RADIUS_PX, (min(height, width) - 1) // 2)
    touching = _middles_touching(hole, radius)
    inside = np.zeros_like(hole)
    inside[radius : height - radius, radius : width - radius] = True
    usable = (inside & ~_middles_touching(hole | barred, radius)).ravel()
    targets = np.flatnonzero(inside & touching)
    if not usable.any() or not targets.size:
        return None
    steps = np.arange(-radius, radius + 1)
    index = np.full(hole.size, -1)
    index[targets] = np.arange(targets.size)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    trust = (_TRUST_FALL ** -np.minimum(depth, 40)).astype(np.float32).ravel()
    offsets = (steps[:, None] * width + steps).ravel()
    shares = _shares(trust, targets[:, None] + offsets, len(picture)) if targets.size <= _MOST_PATCHES else trust[:0]
    level = _Level(
        picture=np.array(picture.transpose(1, 2, 0), np.float32, order="C").reshape(hole.size, -1),
        hole=hole,
        radius=radius,
        offsets=offsets,
        usable=usable,
        targets=targets,
        index=index,
        found=rng.choice(np.flatnonzero(usable), targets.size),
        distance=np.full(targets.size, np.inf, np.float32),
        reliability=trust[targets],
        shares=shares,
    )
    if coarser is not None:
        _take_over(level, coarser)
    if level.is_searched:
        level.distance = _distances(level, level.patches_at(targets), level.found)
    return level


def _middles_touching(hole: Hole, radius: int) -> Hole:
    side = 2 * radius + 1
    return cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _shares(trust: NDArray[np.float32], places: NDArray[np.int64], channels: int) -> NDArray[np.float32]:
    """Return what each value of the patches whose pixels are at ``places`` (N, pixels) counts; together 1 a patch."""
    shares = trust[places]
    shares /= shares.sum(axis=1, keepdims=True) * np.float32(channels)
    return np.repeat(shares, channels, axis=1)


def _take_over(level: _Level, coarser: _Level) -> None:
    """Double the places that the coarser level found, and make the hole's pixels of what lies there."""
    width, (rows, columns) = level.hole.shape[1], coarser.hole.shape
    y, x = level.targets // width, level.targets % width
    parent = coarser.index[np.minimum(y // 2, rows - 1) * columns + np.minimum(x // 2, columns - 1)]
    place = coarser.found[np.maximum(parent, 0)]
    new = _to_flat(level, 2 * (place // columns) + y % 2, 2 * (place % columns) + x % 2)
    good = (parent >= 0) & level.usable[new]
    level.found = np.where(good, new, level.found)
    level.distance = coarser.distance[np.maximum(parent, 0)]
    _vote(level)


def _to_flat(level: _Level, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.int64]:
    """Return flat places, those too near the edge moved in."""
    height, width = level.hole.shape
    down = np.clip(y, level.radius, height - 1 - level.radius)
    places: NDArray[np.int64] = down * width + np.clip(x, level.radius, width - 1 - level.radius)
    return places


# -- the search


def _distances(level: _Level, here: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean squared differences between the targets' patches ``here`` and those at places, one each."""
    there = level.patches_at(places)
    there -= here
    there *= there
    # Summed without a matrix product, whose rounding may differ with the number of threads.
    out: NDArray[np.float32] = np.einsum("ij,ij->i", there, level.shares)
    return out


def _search(level: _Level, rounds: int, reach: int, rng: np.random.Generator) -> None:
    """Look for better patches for all targets: beside what their neighbours found, and around what they have."""
    here = level.patches_at(level.targets)
    level.distance = _distances(level, here, level.found)
    for number in range(rounds):
        for step in (4, 1) if number == 0 else (1,):
            for down, right in ((0, step), (step, 0), (0, -step), (-step, 0)):
                _try_neighbor(level, here, down, right)
        for halvings in range(reach.bit_length()):
            _try_around(level, here, reach >> halvings, rng)


def _try_neighbor(level: _Level, here: NDArray[np.float32], down: int, right: int) -> None:
    """Try what lies beside the patch that the neighbour found, where this one lies beside the neighbour."""
    height, width = level.hole.shape
    y, x = level.targets // width + down, level.targets % width + right
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    neighbor = np.where(inside, level.index[np.where(inside, y * width + x, 0)], -1)
    place = level.found[np.maximum(neighbor, 0)]
    _try_places(level, here, place // width - down, place % width - right, neighbor >= 0)


def _try_around(level: _Level, here: NDArray[np.float32], reach: int, rng: np.random.Generator) -> None:
    width = level.hole.shape[1]
    down, right = rng.integers(-reach, reach + 1, (2, level.found.size))
    every = np.ones(level.found.size, np.bool_)
    _try_places(level, here, level.found // width + down, level.found % width + right, every)


def _try_places(
    level: _Level, here: NDArray[np.float32], y: NDArray[Any], x: NDArray[Any], wanted: NDArray[np.bool_]
) -> None:
    """Keep the places that are more like their targets than what was found before."""
    places = _to_flat(level, y, x)
    distances = _distances(level, here, places)
    better = wanted & level.usable[places] & (distances < level.distance)
    level.found[better] = places[better]
    level.distance[better] = distances[better]


# -- pixels


def _vote(level: _Level) -> None:
    """Make each pixel of the hole the weighted mean of what the patches over it propose."""
    spread = max(float(np.percentile(level.distance, 75)), 1e-8)
    weight = np.exp(-level.distance / (2 * spread)) * level.reliability + 1e-6
    totals, sums = np.zeros(level.hole.size), np.zeros((level.hole.size, level.picture.shape[1]))
    # Pixel by pixel of the patch: each adds to every place at most once, in a fixed order.
    for offset in level.offsets:
        totals[level.targets + offset] += weight
        sums[level.targets + offset] += weight[:, None] * level.picture[level.found + offset]
    pixels = np.flatnonzero(level.hole.ravel() & (totals > 0))
    level.picture[pixels] = sums[pixels] / totals[pixels, None]


def _copy_middles(level: _Level) -> None:
    """Take each pixel of the hole from the one patch most like its own: a mean of many is too smooth."""
    pixels = np.flatnonzero(level.hole.ravel())
    number = level.index[pixels]
    level.picture[pixels[number >= 0]] = level.picture[level.found[number[number >= 0]]]
