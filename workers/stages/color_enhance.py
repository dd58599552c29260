"""Raises local contrast and colour and takes out a cast.

On a reel the cast is that of the whole shot, from the reel profile, so the balance cannot change from frame to frame;
contrast curves are bounded in slope, so they cannot pump. Equal channels stay exactly equal.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.color import ColorEnhanceParams
from workers.frames import Clip, Reel
from workers.ops import planes, tone
from workers.ops.planes import Planes

_CAST_LOW, _CAST_HIGH = 0.6, 1.6
"""Gains on a channel: a scene that is truly of one colour must not be greyed."""


def restore(window: Clip, start: int, stop: int, params: ColorEnhanceParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` with more contrast and colour, size and channels kept."""
    out = []
    for number in range(start, stop):
        picture = planes.from_frame(window.frame(number))
        if len(picture) == 3 and params.white_balance:
            picture = _balance_white(picture, _mean_color(picture, number, reel), params.white_balance)
        if params.contrast:
            luma = planes.luma(picture)
            picture = planes.with_luma(picture, luma, luma + params.contrast * (tone.equalize(luma) - luma))
        if len(picture) == 3:
            picture = _saturate(picture, params.saturation)
        out.append(picture)
    return planes.to_frames(out, window.frames)


def _mean_color(picture: Planes, number: int, reel: Reel) -> NDArray[np.float64]:
    """Return mean red, green and blue of the shot, or of the picture where nothing is known of the reel."""
    color = reel.profile.get("color")
    if color is None:
        return np.array([plane.mean(dtype=np.float64) for plane in picture])
    first, last = reel.shot_of(number)
    mean: NDArray[np.float64] = color[first:last].mean(axis=0)
    return mean


def _balance_white(picture: Planes, mean: NDArray[np.float64], amount: float) -> Planes:
    """Bring the means of the channels together by ``amount``, luma kept (grey-world)."""
    gain = np.clip(mean.mean() / np.maximum(mean, 1e-6), _CAST_LOW, _CAST_HIGH) ** amount
    luma = planes.luma(picture)
    output = picture * gain.astype(np.float32)[:, None, None]
    return planes.with_luma(output, planes.luma(output), luma)


def _saturate(picture: Planes, factor: float) -> Planes:
    """Scale what the channels depart from luma, by less where one would leave 0..1: clipping it would turn the hue."""
    luma = planes.luma(picture)
    apart = picture - luma
    above = (1 - luma) / np.maximum(apart.max(axis=0), 1e-6)
    below = luma / np.maximum(-apart.min(axis=0), 1e-6)
    room = np.maximum(np.minimum(above, below), 0)
    out: Planes = luma + apart * np.minimum(room, np.float32(factor))
    return out
