"""Takes out colour that flickers, along the motion of what is seen.

Colour is what red and blue differ from green by. For each frame the colour of its neighbours in the shot is fetched
along the optical flow of luma, and averaged where flow there and back agrees and luma is alike. What the average
departs from the frame's own colour is the flicker; it is found on a small picture, enlarged and taken out, so luma and
fine colour stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch

from db.catalog.stages.color import StabilizeColorParams
from workers.frames import Clip, Reel
from workers.ops import flow, planes
from workers.ops.flow import Code, Motion
from workers.ops.planes import Plane, Planes

_SIDE_PX = 480
"""Longest side of the pictures on which motion is followed and colour averaged."""
_LUMA_SIGMA = 0.06
"""How unlike in luma two places may be and still count as the same thing."""
_RED, _BLUE = np.float32(0.299), np.float32(0.114)
"""Shares of luma (BT.601)."""


@dataclass(frozen=True)
class _SmallFrame:
    """A frame as colour is compared on it."""

    luma: Plane
    color: Planes
    """Red and blue less green: exactly nothing where channels are equal."""
    code: Code


def restore(window: Clip, start: int, stop: int, params: StabilizeColorParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` with steady colour; grey ones come back as they are."""
    frames = window.part(start, stop).frames
    if frames.shape[1] == 1:
        return frames

    def small(number: int) -> _SmallFrame:
        work = partial(_small_frame, window.frame(number))
        seen: _SmallFrame = window.memo.once("small", (number,), work)
        return seen

    def motion(source: int, target: int) -> Motion:
        # Asked twice: on the way there, and to check the way back.
        work = partial(flow.motion, small(source).code, small(target).code)
        vectors: Motion = window.memo.once("motion", (source, target), work)
        return vectors

    out = []
    for number in range(start, stop):
        steady = _steady_color(number, reel.neighbors(number, params.radius), params.radius, small, motion)
        out.append(_shift_color(planes.from_frame(window.frame(number)), steady - small(number).color))
    return planes.to_frames(out, frames)


def _small_frame(frame: torch.Tensor) -> _SmallFrame:
    small = planes.resize_to_fit(planes.from_frame(frame), _SIDE_PX)
    luma = planes.luma(small)
    return _SmallFrame(luma, np.stack([small[0] - small[1], small[2] - small[1]]), flow.to_code(luma))


def _steady_color(
    number: int, near: range, radius: int, small: Callable[[int], _SmallFrame], motion: Callable[[int, int], Motion]
) -> Planes:
    """Return the colour of a frame averaged with that of its neighbours, nearer ones counting more."""
    current = small(number)
    total, weights = current.color.copy(), np.ones_like(current.luma)
    for other in near:
        if other == number:
            continue
        vectors = motion(number, other)
        neighbor = flow.warp(np.concatenate([small(other).luma[None], small(other).color]), vectors)
        weight = _trust(current.luma, neighbor[0]) * flow.consistency_mask(vectors, motion(other, number))
        weight *= np.float32(np.exp(-(((number - other) / radius) ** 2)))
        total += weight * neighbor[1:]
        weights += weight
    total /= weights
    return total


def _trust(current: Plane, neighbor: Plane) -> Plane:
    """Return 1 where luma is the same, falling to 0 where it shows another thing."""
    unlike = cv2.GaussianBlur(current - neighbor, (0, 0), 1.0) / _LUMA_SIGMA
    trust: Plane = np.exp(-unlike * unlike).astype(np.float32)
    return trust


def _shift_color(picture: Planes, change: Planes) -> Planes:
    """Return the picture with ``change`` (small) added to red and blue less green, luma kept."""
    size = (picture.shape[2], picture.shape[1])
    red, blue = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in change)
    green = -(_RED * red + _BLUE * blue)
    output: Planes = picture + np.stack([green + red, green, green + blue])
    return output
