"""Evens out exposure that jumps from frame to frame.

Every level of luma (a percentile of the frame) should follow a straight line over the frames around it. What a frame
departs from that line is flicker and is taken out by a tone curve through all levels; what the line itself does, such
as a fade, stays. Levels come from the reel profile, so no result depends on the window.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.steadiness import DeflickerParams
from workers.frames import Clip, Reel
from workers.ops import codes, planes
from workers.ops.planes import Plane
from workers.ops.strips import aligned, strips

_LEAST_STEP = 1e-3
"""Levels closer together than this (flat pictures) would make a curve of arbitrary slope."""
_GAIN_LOW, _GAIN_HIGH = 0.5, 2.0
"""Slopes of the tone curve: beyond these it would show noise, not picture."""

Levels = NDArray[np.float64]


def restore(window: Clip, start: int, stop: int, params: DeflickerParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` with steady exposure; without a profile (a still) they come back as they are."""
    levels = reel.profile.get("levels")
    if levels is None or len(levels) < 2:
        return window.part(start, stop).frames
    frames = np.empty((stop - start, *window.frames.shape[1:]), np.float32)
    for number, out in zip(range(start, stop), frames, strict=True):
        picture = planes.from_frame(window.frame(number))
        current = levels[window.sources[number - window.start]]
        curve = _tone_curve(current, _steady_levels(levels, number, reel.neighbors(number, params.window // 2)))
        luma = planes.luma(picture)
        planes.with_luma(picture, luma, _apply_curve(luma, *curve), out)
    return torch.from_numpy(frames).to(window.frames.device)


def _steady_levels(levels: Levels, number: int, near: range) -> Levels:
    """Return the levels that frame ``number`` would have on a straight line through those of the frames ``near`` it."""
    offset = np.arange(near.start, near.stop) - float(number)
    reach = max(abs(offset[0]), abs(offset[-1])) + 1
    # Weights that fall off smoothly: a frame that enters the window must not itself make the line jump.
    weight = (1 - (np.abs(offset) / reach) ** 3) ** 3
    centered = offset - np.average(offset, weights=weight)
    rows = levels[near.start : near.stop]
    mean = np.average(rows, axis=0, weights=weight)
    spread = float(weight @ centered**2)
    slope = (weight * centered) @ rows / spread if spread else np.zeros_like(mean)
    steady: Levels = mean - slope * (offset - centered)[0]
    return steady


def _tone_curve(current: Levels, steady: Levels) -> tuple[Levels, Levels]:
    """Return rising knots (luma before, luma after) of a tone curve that moves the levels ``current`` to ``steady``."""
    before, after = [current[0]], [steady[0]]
    for level, aim in zip(current[1:], steady[1:], strict=True):
        width = level - before[-1]
        if width >= _LEAST_STEP:
            after.append(after[-1] + width * float(np.clip((aim - after[-1]) / width, _GAIN_LOW, _GAIN_HIGH)))
            before.append(level)
    return np.array(before), np.array(after)


def _apply_curve(luma: Plane, before: Levels, after: Levels) -> Plane:
    """Apply the curve; beyond its ends black and white of the source stay where they are as far as possible."""
    coded = codes.to_codes(luma)
    if coded is not None:
        return coded.look_up(_bend(coded.values, before, after))
    bent = aligned(luma.shape, np.float32)
    for rows, _ in strips(luma.shape, 0):
        bent[rows] = _bend(luma[rows], before, after)
    return bent


def _bend(luma: Plane, before: Levels, after: Levels) -> Plane:
    low, high = min(0.0, before[0] - _LEAST_STEP), max(1.0, before[-1] + _LEAST_STEP)
    before = np.concatenate([[low], before, [high]])
    after = np.concatenate([[min(low, after[0])], after, [max(high, after[-1])]])
    inside = np.clip(luma, low, high)
    output = _interpolate(inside, before, after)
    output += luma - inside
    return output.astype(np.float32)


def _interpolate(values: Plane, knots: Levels, levels: Levels) -> Plane:
    """Return what ``numpy.interp`` does of values between rising knots, fewer than 256, in two thirds of its time.

    It searches among the knots for each value; few as they are, all values are held against one after the other.
    """
    place = values.astype(np.float64)
    interval = np.zeros(place.shape, np.uint8)
    for knot in knots[1:]:
        interval += (place >= knot).view(np.uint8)
    slopes = np.append(np.diff(levels) / np.diff(knots), 0)
    start, slope, level = (
        cv2.LUT(interval, np.pad(table, (0, 256 - len(table)))).reshape(place.shape)
        for table in (knots, slopes, levels)
    )
    place -= start
    place *= slope
    place += level
    return place
