"""Takes out dust, dirt and hairs that are in one frame alone.

Two frames on either side are fetched along the motion and brought to the frame's exposure; what differs from them all,
and from its own surroundings too, is a speck. Everything is done twice: the first time neighbours are cleaned as well
as can be, so that the second time neither their motion nor what they show suffers from their own dirt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from db.catalog.stages.repairs import DirtParams
from workers.frames import Clip, Reel, Repaired, untouched
from workers.ops import evidence, planes, specks
from workers.ops.evidence import Evidence, Mask
from workers.ops.fill import fill
from workers.ops.planes import Planes
from workers.ops.witnesses import REACH, Look, View, is_gray, raw_view, reference, searched, view, witnesses

_SECOND_SEEDS = 0.93
"""Among cleaned neighbours less is enough to be sure."""
_SIGNS = {"both": (1, -1), "bright": (1,), "dark": (-1,)}


def restore(window: Clip, start: int, stop: int, params: DirtParams, reel: Reel) -> Repaired:
    """Return frames ``[start, stop)`` without specks, and where they were."""
    if reel.frame_count == 1 and (params.mask == "found" or not window.marked(start).any()):
        return untouched(window.part(start, stop).frames)
    raw = partial(raw_view, window)

    def first(number: int) -> View:
        near = reel.neighbors(number, REACH)
        work = partial(_clean_once, window, number, params, reel, raw)
        seen: View = window.memo.once("first", (number, *near), work)
        return seen

    results = [_clean_again(window, number, params, reel, raw, first) for number in range(start, stop)]
    masks = torch.from_numpy(np.stack([mask for _, mask in results])[:, None])
    return Repaired(planes.to_frames([each for each, _ in results], window.frames), masks.to(window.frames.device))


def _clean_once(window: Clip, number: int, params: DirtParams, reel: Reel, raw: Look) -> View:
    """Return a frame cleaned by means of its neighbours as they came; its luma alone is asked."""
    own = raw(number)
    references = [reference(own, raw(other)) for other in witnesses(window, number, reel)]
    shown = [planes.luma(each.planes)[None] for each in references]
    mask, said = _find(planes.luma(own.planes)[None], shown, params, 1.0)
    picture, changed = fill(own.planes, _with_given(mask, window, number, params), references, said=said)
    return view(picture, changed) if changed.any() else own


def _clean_again(
    window: Clip, number: int, params: DirtParams, reel: Reel, raw: Look, first: Look
) -> tuple[Planes, Mask]:
    """Return a frame cleaned by means of its cleaned neighbours, and where it was changed."""
    own, cleaned = raw(number), first(number)
    views = [first(other) for other in witnesses(window, number, reel)]
    if cleaned.mask is None and all(each.mask is None for each in views) and is_gray(own.planes):
        return own.planes, np.zeros(own.code.shape, np.bool_)
    references = [reference(cleaned, each) for each in views]
    shown = [searched(each.planes) for each in references]
    mask, said = _find(searched(own.planes), shown, params, _SECOND_SEEDS)
    # The first time everything is filled: what stays must not be taken for what a neighbour shows.
    guessed = None if params.fill == "always" else _with_given(np.zeros_like(mask), window, number, params)
    return fill(own.planes, _with_given(mask, window, number, params), references, guessed, said)


def _find(
    looked_at: Planes, references: Sequence[Planes], params: DirtParams, seed_share: float
) -> tuple[Mask, Evidence | None]:
    """Return where any of the planes has specks, and what is said of the first; nothing is known without neighbours."""
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
    return mask, said[0]


def _with_given(mask: Mask, window: Clip, number: int, params: DirtParams) -> Mask:
    return mask if params.mask == "found" else mask | window.marked(number)
