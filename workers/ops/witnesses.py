"""The frames around one frame, as they bear witness to what it should show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from workers.frames import Clip, Reel
from workers.ops import evidence, flow, planes
from workers.ops.evidence import Mask
from workers.ops.fill import Reference
from workers.ops.flow import Code, Motion
from workers.ops.planes import Planes

REACH = 2
"""Frames on either side that are asked."""
_DAMAGED = 0.25
"""Share of a fetched pixel that was damage, from which it says nothing."""


@dataclass(frozen=True)
class View:
    """A frame as others look at it."""

    planes: Planes
    code: Code
    mask: Mask | None = None
    """``(H, W)``: where it is damaged, or was filled; none where it is whole."""


Look = Callable[[int], View]
"""Gives a frame by its absolute number."""


def view(picture: Planes, mask: Mask | None = None) -> View:
    """Return a frame to be looked at."""
    return View(picture, evidence.code(planes.luma(picture)), mask)


def raw_view(window: Clip, number: int) -> View:
    """Return a frame as it is in the window; made once."""
    seen: View = window.memo.once("raw", (number,), lambda: view(planes.from_frame(window.frame(number))))
    return seen


def witnesses(window: Clip, number: int, reel: Reel) -> list[int]:
    """Return the frames that say what frame ``number`` should show: none that stands in for another, no repeat."""
    shown, own = window.sources[number - window.start], window.frame(number)
    return [
        other
        for other in reel.neighbors(number, REACH)
        if other != number
        and window.sources[other - window.start] == other != shown
        and not torch.equal(window.frame(other), own)
    ]


def reference(own: View, other: View, there: Motion | None = None) -> Reference:
    """Return one frame as it would be seen in another; ``there`` is the motion to it, where that is known."""
    if there is None:
        there = motion(own, other)
    mask = None if other.mask is None else flow.warp(other.mask[None].astype(np.float32), there)[0] > _DAMAGED
    return Reference(evidence.fetch(other.planes, own.planes, there), mask)


def motion(own: View, other: View) -> Motion:
    """Return where each pixel of a frame is found in another, ``(H, W, 2)``."""
    return flow.motion(own.code, other.code)


def searched(picture: Planes) -> Planes:
    """Return the planes in which damage is looked for: luma, and of colour each channel: a dye layer has its own."""
    luma = planes.luma(picture)[None]
    return luma if is_gray(picture) else np.concatenate([luma, picture])


def is_gray(picture: Planes) -> bool:
    """Whether all channels are equal."""
    return all(np.array_equal(picture[0], plane) for plane in picture[1:])
