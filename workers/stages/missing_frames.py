"""Makes up frames that are missing: unreadable ones, and on request black, torn, foreign or repeated ones.

A gap is filled along the motion between the good frames before and behind it, if it is short and both are of its shot.
In a longer gap, and at the end of a shot, the nearest good frame is held. What is made up is in the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch

from db.catalog.stages.steadiness import MissingFramesParams
from workers.frames import Clip, Reel, Repaired
from workers.ops import interpolation, planes

Test = Callable[[int], bool]
"""Whether a frame, by its number, is missing."""


def restore(window: Clip, start: int, stop: int, params: MissingFramesParams, reel: Reel) -> Repaired:
    """Return frames ``[start, stop)``, those replaced whole that are missing."""
    is_missing = cache(partial(_is_missing, window=window, params=params, reel=reel))
    frames = window.part(start, stop).frames.clone()
    mask = frames.new_zeros((stop - start, 1, *frames.shape[-2:]), dtype=torch.bool)
    for number in range(start, stop):
        picture = _made_up(number, window, params, reel, is_missing) if is_missing(number) else None
        if picture is not None:
            frames[number - start] = picture
            mask[number - start] = True
    return Repaired(frames, mask)


def _is_missing(number: int, window: Clip, params: MissingFramesParams, reel: Reel) -> bool:
    if window.sources[number - window.start] != number:
        return True
    if params.odd and "odd" in reel.profile and bool(reel.profile["odd"][number]):
        return True
    begins_shot = number == reel.shot_of(number)[0]
    return params.repeats and not begins_shot and torch.equal(window.frame(number), window.frame(number - 1))


def _made_up(
    number: int, window: Clip, params: MissingFramesParams, reel: Reel, is_missing: Test
) -> torch.Tensor | None:
    """Return what belongs in the place of a missing frame; none where no good frame of the shot is near."""
    near = reel.neighbors(number, params.max_gap)
    before = next((other for other in range(number - 1, near.start - 1, -1) if not is_missing(other)), None)
    behind = next((other for other in range(number + 1, near.stop) if not is_missing(other)), None)
    if before is not None and behind is not None and behind - before - 1 <= params.max_gap:
        return _between(before, behind, (number - before) / (behind - before), window)
    good = [other for other in (before, behind) if other is not None]
    return window.frame(min(good, key=lambda other: abs(other - number))) if good else None


def _between(before: int, behind: int, share: float, window: Clip) -> torch.Tensor:
    first, second = (planes.from_frame(window.frame(number)) for number in (before, behind))
    motions = window.memo.once("motions", (before, behind), partial(interpolation.follow, first, second))
    picture = interpolation.middle(first, second, share, motions)
    return planes.to_frames([picture], window.frames)[0]
