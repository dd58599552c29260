"""Takes out dust, dirt and hairs that are in one frame alone.

Two frames on either side are fetched along the motion and brought to the frame's exposure; what differs from them all,
and from its own surroundings too, is a speck. Everything is done twice: the first time neighbours are cleaned as well
as can be, so that the second time neither their motion nor what they show suffers from their own dirt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.repairs import DirtParams
from workers.frames import Clip, Reel, Repaired
from workers.ops import evidence, flow, planes, specks
from workers.ops.evidence import Mask
from workers.ops.fill import Reference, fill
from workers.ops.flow import Code
from workers.ops.planes import Plane, Planes

_REACH = 2
"""Frames on either side that say what should be seen; a pass."""
_SECOND_SEEDS = 0.93
"""Among cleaned neighbours less is enough to be sure."""
_DAMAGED = 0.25
"""Share of a fetched pixel that was damage, from which it says nothing."""
_SIGNS = {"both": (1, -1), "bright": (1,), "dark": (-1,)}


@dataclass(frozen=True)
class _View:
    """A frame as its neighbours look at it."""

    planes: Planes
    code: Code
    mask: Mask | None = None
    """Where it was filled; none where nothing was."""


Look = Callable[[int], _View]


def restore(window: Clip, start: int, stop: int, params: DirtParams, reel: Reel) -> Repaired:
    """Return frames ``[start, stop)`` without specks, and where they were."""

    def raw(number: int) -> _View:
        view: _View = window.memo.once("raw", (number,), lambda: _view(planes.from_frame(window.frame(number))))
        return view

    def first(number: int) -> _View:
        near = reel.neighbors(number, _REACH)
        work = partial(_clean_once, window, number, params, reel, raw)
        view: _View = window.memo.once("first", (number, *near), work)
        return view

    results = [_clean_again(window, number, params, reel, raw, first) for number in range(start, stop)]
    masks = torch.from_numpy(np.stack([mask for _, mask in results])[:, None])
    return Repaired(planes.to_frames([each for each, _ in results], window.frames), masks.to(window.frames.device))


def _view(picture: Planes, mask: Mask | None = None) -> _View:
    return _View(picture, evidence.code(planes.luma(picture)), mask)


def _clean_once(window: Clip, number: int, params: DirtParams, reel: Reel, raw: Look) -> _View:
    """Return a frame cleaned by means of its neighbours as they came; its luma alone is asked."""
    own = raw(number)
    references = [_fetch(own, raw(other)) for other in witnesses(window, number, reel)]
    mask, noise = _find(
        planes.luma(own.planes)[None], [planes.luma(each.planes)[None] for each in references], params, 1.0
    )
    picture, changed = fill(own.planes, _with_given(mask, window, number, params), references, noise)
    return _view(picture, changed) if changed.any() else own


def _clean_again(
    window: Clip, number: int, params: DirtParams, reel: Reel, raw: Look, first: Look
) -> tuple[Planes, Mask]:
    """Return a frame cleaned by means of its cleaned neighbours, and where it was changed."""
    own, cleaned = raw(number), first(number)
    views = [first(other) for other in witnesses(window, number, reel)]
    if cleaned.mask is None and all(view.mask is None for view in views) and _is_gray(own.planes):
        return own.planes, np.zeros(own.code.shape, np.bool_)
    references = [_fetch(cleaned, view) for view in views]
    looked_at = [_searched(each.planes) for each in references]
    mask, noise = _find(_searched(own.planes), looked_at, params, _SECOND_SEEDS)
    return fill(own.planes, _with_given(mask, window, number, params), references, noise)


def witnesses(window: Clip, number: int, reel: Reel) -> list[int]:
    """Return the frames that say what frame ``number`` should show: none that stands in for another, no repeat."""
    shown = window.sources[number - window.start]
    near = [other for other in reel.neighbors(number, _REACH) if other != number]
    own = window.frame(number)
    return [
        other
        for other in near
        if window.sources[other - window.start] == other != shown and not torch.equal(window.frame(other), own)
    ]


def _fetch(own: _View, other: _View) -> Reference:
    there = flow.motion(own.code, other.code)
    mask = None if other.mask is None else flow.warp(other.mask[None].astype(np.float32), there)[0] > _DAMAGED
    return Reference(evidence.fetch(other.planes, own.planes, there), mask)


def _searched(picture: Planes) -> Planes:
    """Return what specks are looked for in: luma, and of colour each channel, since a dye layer has its own damage."""
    luma = planes.luma(picture)[None]
    return luma if _is_gray(picture) else np.concatenate([luma, picture])


def _is_gray(picture: Planes) -> bool:
    return all(np.array_equal(picture[0], plane) for plane in picture[1:])


def _find(
    looked_at: Planes, references: Sequence[Planes], params: DirtParams, seed_share: float
) -> tuple[Mask, Plane | None]:
    """Return where any of the planes has specks, and the noise of the first; nothing is known without neighbours."""
    mask = np.zeros(looked_at[0].shape, np.bool_)
    if not references or params.mask == "given":
        return mask, None
    limits = specks.Limits(
        seed_share / params.sensitivity, params.least_contrast, params.largest_px, _SIGNS[params.polarity]
    )
    said = [
        evidence.weigh(plane, [other[min(number, len(other) - 1)] for other in references])
        for number, plane in enumerate(looked_at)
    ]
    for plane, each in zip(looked_at, said, strict=True):
        mask |= specks.find(plane, each, limits)
    return mask, said[0].noise


def _with_given(mask: Mask, window: Clip, number: int, params: DirtParams) -> Mask:
    if params.mask == "found" or window.mask is None:
        return mask
    given: NDArray[np.bool_] = window.mask[number - window.start, 0].cpu().numpy()
    return mask | given
