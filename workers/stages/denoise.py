"""Takes out grain and noise: by a network, by non-local means in space, or along motion in time.

 Where no network does it, colour is split into the mean of the channels and two
differences. The mean, which carries the detail, is filtered at full size; the differences, where the eye resolves less,
at half size, and what half size cannot hold is shrunk by how far it stands out of the noise. Grain too coarse for full
size is filtered at half size as well, by a network too. With neighbours in time it is known by what differs between
them, alone by how much of it is seen at each scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from db.catalog.architectures import ARCHITECTURES
from db.catalog.stages import DenoiseParams
from workers import models
from workers.frames import Clip, Reel
from workers.ops import flow, noise, planes
from workers.ops.planes import Plane, Planes

_MATCH_PX = 7
"""Side of the square over which an aligned neighbour is compared with the frame."""
_TRUSTED, _LOST = 0.5, 0.9
"""Share of the noise left after averaging in time: up to the first no more is done, from the second on all is."""


@dataclass(frozen=True)
class _Levels:
    """Noise of the channels' mean, of red - blue and of green - (red + blue) / 2."""

    mean: float
    red_blue: float
    green: float
    coarse: float = 0
    """What of the mean's noise is left for a filter at half size."""

    def times(self, share: float) -> _Levels:
        return _Levels(self.mean * share, self.red_blue * share, self.green * share)

    def at_least(self, mean: float) -> _Levels:
        """Raise all three until the first is ``mean``: what hides noise of the mean hides that of colour too."""
        if self.mean >= mean:
            return self
        return self.times(mean / self.mean) if self.mean else _Levels(mean, 0, 0)


def restore(
    window: Clip, start: int, stop: int, params: DenoiseParams, reel: Reel, network: nn.Module | None = None
) -> torch.Tensor:
    """Return frames ``[start, stop)`` with less noise, size and channels kept."""
    if network is not None and (params.method == "network" or reel.frame_count == 1):
        # One at a time on every device: each has its own noise, and bits depend on no other.
        frames = window.part(start, stop).frames
        return torch.cat([_by_network(frame[None], params, network) for frame in frames])
    picture = cache(lambda number: planes.from_frame(window.frame(number)))
    code = cache(lambda number: flow.code(planes.luma(picture(number))))
    out = []
    for number in range(start, stop):
        near = reel.neighbours(number, params.radius) if params.method != "spatial" else range(number, number + 1)
        moved = [flow.warp(picture(other), flow.motion(code(number), code(other))) for other in near if other != number]
        out.append(_denoised(picture(number), moved, params.sigma))
    return planes.to_frames(out, window.frames)


def _denoised(picture: Planes, moved: list[Planes], sigma: float | None) -> Planes:
    levels = _known(len(picture), sigma) if sigma is not None else _seen(picture, moved)
    if levels.mean == levels.coarse == 0:
        return picture
    if not moved:
        return _spatial(picture, levels)
    return _finished(*_averaged(picture, moved, levels.mean), levels)


# -- by a network


def _by_network(picture: torch.Tensor, params: DenoiseParams, network: nn.Module) -> torch.Tensor:
    """Return a picture ``(1, C, H, W)`` after a network that is told the noise, or was trained for one level of it."""
    if "sigma" not in ARCHITECTURES[str(network.architecture)].options:
        return models.restored(network, picture).to(picture.device)
    fine, coarse = (params.sigma, 0.0) if params.sigma is not None else _grain(planes.from_frame(picture[0]))
    if fine > 0:
        picture = models.restored(network, picture, sigma=fine).to(picture.device)
    if coarse == 0:
        return picture
    half = functional.interpolate(picture, scale_factor=0.5, mode="area")
    change = models.restored(network, half, sigma=coarse).to(picture.device) - half
    return picture + functional.interpolate(change, size=picture.shape[-2:], mode="bilinear", align_corners=False)


def _grain(picture: Planes) -> tuple[float, float]:
    """Return the noise at full size, and what of blurred grain is left for half size, over all channels."""
    seen = np.array([noise.grain_sigmas(plane) for plane in picture])
    fine, coarse = np.sqrt(np.mean(seen**2, axis=0))
    return float(fine), float(coarse)


# -- how much


def _known(channels: int, sigma: float) -> _Levels:
    if channels == 1:
        return _Levels(sigma, 0, 0)
    return _Levels(sigma / np.sqrt(3), sigma * np.sqrt(2), sigma * np.sqrt(1.5))


def _seen(picture: Planes, moved: list[Planes]) -> _Levels:
    if not moved:
        return _seen_in_space(picture)
    restless = _restless_sigma(planes.luma(picture), [planes.luma(other) for other in moved])
    return _levels(picture).at_least(restless)


def _levels(picture: Planes) -> _Levels:
    if len(picture) == 1:
        return _Levels(noise.flat_sigma(picture[0]), 0, 0)
    mean, red_blue, green = _split(picture)
    return _Levels(noise.flat_sigma(mean), noise.flat_sigma(red_blue, -1, 1), noise.flat_sigma(green, -1, 1))


def _seen_in_space(picture: Planes) -> _Levels:
    """Measure at several scales: with no neighbours, nothing else tells blurred grain."""
    if len(picture) == 1:
        fine, coarse = noise.grain_sigmas(picture[0])
        return _Levels(fine, 0, 0, coarse)
    mean, red_blue, green = _split(picture)
    fine, coarse = noise.grain_sigmas(mean)
    return _Levels(fine, noise.grain_sigmas(red_blue, -1, 1)[0], noise.grain_sigmas(green, -1, 1)[0], coarse)


# -- in time


def _restless_sigma(here: Plane, moved: list[Plane]) -> float:
    """Return the noise that differs from frame to frame where motion is followed well.

    Film grain that a scan has blurred or a codec has smoothed shows little at the scale of single pixels; in time it
    shows whole. Differences of mean exposure do not count.
    """
    return min(noise.flat_deviation(here, here - other) for other in moved) / float(np.sqrt(2))


def _averaged(picture: Planes, moved: list[Planes], sigma: float) -> tuple[Planes, Plane]:
    """Average a frame with what its neighbours show of it; also return what share of the noise is left where."""
    here, total = planes.luma(picture), picture.copy()
    weight_sum, square_sum = np.ones_like(here), np.ones_like(here)
    for other in moved:
        weight = _trust(here, planes.luma(other), sigma)
        total += weight * other
        weight_sum += weight
        square_sum += weight * weight
    total /= weight_sum
    left: Plane = np.sqrt(square_sum) / weight_sum
    return total, left


def _trust(here: Plane, moved: Plane, sigma: float) -> Plane:
    """Return 1 where the two differ by no more than noise does, falling to 0 where they show different things."""
    excess: Plane = cv2.sqrBoxFilter(
        here - moved, cv2.CV_32F, (_MATCH_PX, _MATCH_PX), borderType=cv2.BORDER_REFLECT_101
    )
    excess *= -1 / (2 * sigma * sigma)
    excess += 1
    np.minimum(excess, 0, out=excess)
    out: Plane = cv2.exp(excess)
    return out


def _finished(averaged: Planes, left: Plane, levels: _Levels) -> Planes:
    """Filter in space what averaging left over, harder where nothing aligned."""
    usual = _spatial(averaged, levels.times(float(np.median(left))))
    lost = np.clip((left - _TRUSTED) / (_LOST - _TRUSTED), 0, 1)
    if lost.mean() < 0.01:
        return usual
    return usual + (_spatial(averaged, levels) - usual) * lost


# -- in space


def _spatial(picture: Planes, levels: _Levels) -> Planes:
    if len(picture) == 1:
        return _calm(picture[0], levels)[None]
    mean, red_blue, green = _split(picture)
    return _joined(
        _calm(mean, levels),
        _calm_difference(red_blue, levels.red_blue),
        _calm_difference(green, levels.green),
    )


def _calm(mean: Plane, levels: _Levels) -> Plane:
    fine = noise.non_local_means(mean, levels.mean)
    if levels.coarse == 0:
        return fine
    half = noise.halved(fine)
    return cv2.add(fine, noise.like(noise.non_local_means(half, levels.coarse) - half, fine))


def _calm_difference(plane: Plane, sigma: float) -> Plane:
    if sigma == 0 or min(plane.shape) < 2:
        return plane
    half = noise.halved(plane)
    fine = plane - noise.like(half, plane)
    fine *= _wiener_gain(fine, sigma)
    fine += noise.like(noise.non_local_means(half, sigma / 2), plane)
    return fine


def _wiener_gain(fine: Plane, sigma: float) -> Plane:
    energy: Plane = cv2.sqrBoxFilter(fine, cv2.CV_32F, (5, 5), borderType=cv2.BORDER_REFLECT_101)
    # Estimated energy strays: only what is well above the noise's own counts as picture.
    return np.maximum(0, 1 - 1.5 * sigma * sigma / np.maximum(energy, 1e-12))


def _split(picture: Planes) -> tuple[Plane, Plane, Plane]:
    red, green, blue = picture
    return (red + green + blue) / 3, red - blue, green - (red + blue) / 2


def _joined(mean: Plane, red_blue: Plane, green: Plane) -> Planes:
    around = mean - green / 3
    return np.stack([around + red_blue / 2, mean + green * np.float32(2 / 3), around - red_blue / 2])
