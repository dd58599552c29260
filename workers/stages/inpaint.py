"""Fills in what the manifest's mask marks as lost.

Frames beside the one in work are asked first: where they show the place, and what is around it agrees, theirs is the
true picture. What is left is made up: thin marks from their edge, thicker ones with patches of the same picture, or by
a network where one is asked for. Frames without a mask, and all that lies outside it, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from db.catalog.stages.invention import InpaintParams
from workers import models
from workers.frames import Clip, Reel, Repaired
from workers.ops import flow, holes, patch_match, planes
from workers.ops.flow import Code
from workers.ops.patch_match import Hole
from workers.ops.planes import Planes

Motion = NDArray[np.float32]
_THIN_PX = 4
"""Thickness up to which diffusion is both nearer the truth and quicker than patches."""
_MOST_NETWORK_PX = 768
"""Side of what a network is shown at once: it was trained on smaller pictures yet."""
_RING_PX = 4
_AREA_PX, _LEAST_HOME = 9, 0.6
"""Of the pixels around, the share whose motion comes home, so that a neighbour is believed."""
_LEAST_UNLIKE, _MOST_UNLIKE, _USUAL = 0.02, 0.05, 3.0
"""Mean difference of luma around a hole, grain calmed, up to which a neighbour shows the same thing: so many times what
is usual in the frame, within bounds."""


@dataclass(frozen=True)
class _Damaged:
    """A frame, its hole, and the frame with a first guess in the hole, so that motion can be followed."""

    picture: Planes
    hole: Hole
    guess: Planes
    code: Code


def restore(
    window: Clip, start: int, stop: int, params: InpaintParams, reel: Reel, network: nn.Module | None = None
) -> Repaired:
    """Return frames ``[start, stop)`` with their holes filled, and the holes."""
    out, filled = [], []
    for number in range(start, stop):
        hole = _hole(window, number, params)
        filled.append(hole[None])
        if not hole.any():
            out.append(planes.from_frame(window.frame(number)))
            continue
        picture, left = _fill_from_others(window, number, _damaged(window, number, params), params, reel)
        out.append(_make_up(picture, left, number, params, network))
    mask = torch.from_numpy(np.stack(filled)).to(window.frames.device)
    return Repaired(planes.to_frames(out, window.frames), mask)


def _damaged(window: Clip, number: int, params: InpaintParams) -> _Damaged:
    damaged: _Damaged = window.memo.once("damaged", (number,), lambda: _read_damaged(window, number, params))
    return damaged


def _read_damaged(window: Clip, number: int, params: InpaintParams) -> _Damaged:
    picture, hole = planes.from_frame(window.frame(number)), _hole(window, number, params)
    guess = holes.diffuse(picture, hole)
    return _Damaged(picture, hole, guess, flow.to_code(planes.luma(guess)))


def _hole(window: Clip, number: int, params: InpaintParams) -> Hole:
    marked = window.marked(number)
    return _without_largest(holes.widen(marked, params.dilate_px), params.largest_px) if marked.any() else marked


def _without_largest(hole: Hole, largest_px: int) -> Hole:
    """Return the hole less the parts that are too thick, and nothing of one that covers the whole picture."""
    if hole.all():
        return np.zeros_like(hole)
    if patch_match.thickness_px(hole) <= largest_px:
        return hole
    kept = np.zeros_like(hole)
    for place, part in holes.parts(hole):
        if patch_match.thickness_px(part) <= largest_px:
            kept[place] |= part
    return kept


def _fill_from_others(
    window: Clip, number: int, damaged: _Damaged, params: InpaintParams, reel: Reel
) -> tuple[Planes, Hole]:
    """Return the frame with what its neighbours show of the hole, and what is left of it."""
    picture, hole = damaged.guess.copy(), damaged.hole.copy()
    for other in _others(window, number, params, reel):
        if not hole.any():
            return picture, hole
        ways = (_motion(window, number, other, params), _motion(window, other, number, params))
        shown, seen = _aligned(damaged, _damaged(window, other, params), *ways)
        taken = hole & _trusted(damaged, shown, seen)
        picture = np.where(taken, shown, picture)
        hole &= ~taken
    return picture, hole


def _others(window: Clip, number: int, params: InpaintParams, reel: Reel) -> Iterator[int]:
    """Yield the frames around, nearest first, that show themselves."""
    near = reel.neighbors(number, params.radius)
    for other in sorted(near, key=lambda each: (abs(each - number), each)):
        if other != number and window.sources[other - window.start] == other:
            yield other


def _motion(window: Clip, source: int, target: int, params: InpaintParams) -> Motion:
    def work() -> Motion:
        return flow.motion(_damaged(window, source, params).code, _damaged(window, target, params).code)

    motion: Motion = window.memo.once("motion", (source, target), work)
    return motion


def _aligned(damaged: _Damaged, other: _Damaged, there: Motion, back: Motion) -> tuple[Planes, Hole]:
    """Return what a neighbour shows, drawn where the frame has it, and where that is to be believed."""
    shown = flow.warp(other.guess, there)
    unknown = flow.warp(other.hole[None].astype(np.float32), there)[0] > 0.01
    # Decided area by area: single pixels here and there of a neighbour's would be specks.
    home = cv2.blur(flow.consistency_mask(there, back).astype(np.float32), (_AREA_PX, _AREA_PX)) > _LEAST_HOME
    seen = home & ~unknown
    return holes.match_exposure(shown, damaged.picture, damaged.hole | ~seen), seen


def _trusted(damaged: _Damaged, shown: Planes, seen: Hole) -> Hole:
    """Return the parts of the hole around which the neighbour shows what the frame shows, where it is seen."""
    difference = planes.luma(damaged.guess) - planes.luma(shown)
    unlike = np.abs(cv2.GaussianBlur(difference, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE))
    usual = float(np.median(unlike[seen & ~damaged.hole])) if (seen & ~damaged.hole).any() else 0.0
    most = float(np.clip(_USUAL * usual, _LEAST_UNLIKE, _MOST_UNLIKE))
    trusted = np.zeros_like(seen)
    for place, part in holes.parts(damaged.hole, _RING_PX):
        around = holes.ring(part, _RING_PX) & ~damaged.hole[place]
        compared = around & seen[place]
        if compared.sum() > around.sum() / 2 and unlike[place][compared].mean() <= most:
            trusted[place] |= part & seen[place]
    return trusted


def _make_up(picture: Planes, hole: Hole, number: int, params: InpaintParams, network: nn.Module | None) -> Planes:
    """Fill what no neighbour shows."""
    if not hole.any():
        return picture
    picture = holes.diffuse(picture, hole)
    if params.method == "navier_stokes":
        return picture
    # The mask was widened; what was thin before still is.
    thin_px = 0 if params.method == "patches" else _THIN_PX + 2 * params.dilate_px
    thick = holes.thick_parts(hole, thin_px)
    if network is None:
        return holes.fill_with_patches(picture, thick, number)
    return holes.fill_groups(picture, thick, lambda around, own, others, _: _ask(network, around, own | others))


def _ask(network: nn.Module, picture: Planes, hole: Hole) -> Planes:
    """Return a picture as a network fills it, at a size that it knows."""
    height, width = hole.shape
    small = planes.resize_to_fit(np.clip(picture, 0, 1), _MOST_NETWORK_PX)
    shrunk = planes.resize_area(hole[None].astype(np.float32), *small.shape[1:]) > 0
    filled = models.restore(network, torch.from_numpy(small)[None], holes=torch.from_numpy(shrunk)[None])
    return np.stack(
        [cv2.resize(p, (width, height), interpolation=cv2.INTER_CUBIC) for p in planes.from_frame(filled[0])]
    )
