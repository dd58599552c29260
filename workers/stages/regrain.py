"""Gives back the grain that denoising took.

How strong the source's grain was at each level of luma, and how alike between neighbouring pixels, is in the reel
profile for each shot. What the picture still has of it counts. Grain is drawn anew for each frame from its number, so
no result depends on what was drawn before.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.detail import RegrainParams
from workers.frames import Clip, Reel
from workers.ops import grain, planes
from workers.ops.planes import Plane, Planes

_COMMON, _OWN = 0.8, 0.2
"""Shares of grain that the layers of colour film have in common, and of each layer's own."""
_LUMA_SHARES = (0.299, 0.587, 0.114)
_SAME_SIZE = 1.02
_AS_GOOD_AS_ALL = 0.9
"""Share of the variance from which on nothing is missing: a frame's own grain is no truer than that."""


def restore(window: Clip, start: int, stop: int, params: RegrainParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` with grain like the source's; those of a source without any as they are."""
    if "grain_sigma" not in reel.profile:
        return window.part(start, stop).frames
    out = []
    for number in range(start, stop):
        picture = planes.from_frame(window.frame(number))
        sigmas = reel.profile["grain_sigma"][number] * _missing_share(number, window, params.amount, reel)
        out.append(_add_grain(picture, sigmas, number, window, params, reel) if sigmas.any() else picture)
    return planes.to_frames(out, window.frames)


def _missing_share(number: int, window: Clip, amount: float, reel: Reel) -> float:
    """Return how strong the grain to be added is, as a share of the source's."""
    return float(np.sqrt(max(0.0, amount**2 - _left_variance(number, window, reel))))


def _left_variance(number: int, window: Clip, reel: Reel) -> float:
    """Return what share of the variance of the source's grain the picture still has, 0..1.

    It is measured as the source's was, against the frame before or behind. Where the picture shows nothing by which to
    tell, all was taken if the source did show something, and nothing was if that too stood still.
    """
    luma = planes.luma(planes.from_frame(window.frame(number)))
    usual = reel.profile["grain_sigma"][number] ** 2
    if not usual.any():
        return 1.0
    near = reel.neighbors(number, 1)
    for other in (each for each in (number - 1, number + 1) if each in near):
        variances = grain.measure(luma, planes.luma(planes.from_frame(window.frame(other))))[0]
        known = variances != grain.UNKNOWN
        if known.any():
            return min(1.0, float(np.median(variances[known] / usual[known])) / _AS_GOOD_AS_ALL)
    return 0.0 if reel.profile["grain_shows"][near.start + 1 : near.stop].any() else 1.0


def _add_grain(
    picture: Planes, sigmas: NDArray[np.float64], number: int, window: Clip, params: RegrainParams, reel: Reel
) -> Planes:
    shot = reel.shot_of(number)
    shape = window.memo.once("kernel", (shot[1] - 1,), partial(grain.kernel, reel.profile["grain_likeness"][shot[0]]))
    generator = np.random.Generator(np.random.Philox(key=[params.seed, number]))
    enlargement = max(picture.shape[1:]) / float(reel.profile["grain_side"][number])
    draw = partial(_draw, generator, picture.shape[1], picture.shape[2], enlargement, shape)
    strength = _strength(planes.luma(picture), sigmas)
    common = draw()
    grained: Planes
    if _is_grey(picture, reel):
        grained = picture + _centered(common * strength)
        return grained
    own = [_COMMON * common + _OWN * draw() for _ in picture]
    # As strong in luma as it was there.
    scale = np.float32(1 / np.sqrt(_COMMON**2 + _OWN**2 * sum(share**2 for share in _LUMA_SHARES)))
    grained = picture + np.stack([_centered(plane * strength * scale) for plane in own])
    return grained


def _draw(generator: np.random.Generator, height: int, width: int, enlargement: float, shape: Plane) -> Plane:
    """Return grain ``(height, width)`` of deviation 1; of an enlarged picture, enlarged like it."""
    if enlargement < _SAME_SIZE:
        return grain.field(generator, height, width, shape)
    small = grain.field(generator, max(1, round(height / enlargement)), max(1, round(width / enlargement)), shape)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    deviation = float(large.std(dtype=np.float64))
    drawn: Plane = large / np.float32(deviation) if deviation > 0 else large
    return drawn


def _strength(luma: Plane, sigmas: NDArray[np.float64]) -> Plane:
    """Return how strong grain is at each pixel, from its strength at the middle of each step of luma."""
    middles = (np.arange(grain.LEVELS) + 0.5) / grain.LEVELS
    strength: Plane = np.interp(luma, middles, sigmas).astype(np.float32)
    return strength


def _centered(plane: Plane) -> Plane:
    """Return the plane less its mean: a frame becomes neither lighter nor darker."""
    centered: Plane = plane - np.float32(plane.mean(dtype=np.float64))
    return centered


def _is_grey(picture: Planes, reel: Reel) -> bool:
    """Whether grain is the same in all channels: silver has no colours, though a picture may have been given some."""
    return reel.mono_source or len(picture) == 1 or all(np.array_equal(picture[0], plane) for plane in picture[1:])
