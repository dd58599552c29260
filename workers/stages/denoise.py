"""Takes out grain and noise: by a network, by non-local means in space, or along motion in time.

Where no network does it, colour is split into the mean of the channels and two differences. The mean, which carries
the detail, is filtered at full size; the differences, where the eye resolves less, at half size, and what half size
cannot hold is shrunk by how far it stands out of the noise. Grain too coarse for full size is filtered at half size as
well, by a network too. With neighbours in time, which are first brought to the frame's exposure, it is known by what
differs between them, alone by how much of it is seen at each scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from db.catalog.architectures import ARCHITECTURES
from db.catalog.stages.detail import DenoiseParams
from workers import models
from workers.frames import MEASURED, Clip, Reel, StillRows
from workers.ops import evidence, flow, noise, planes
from workers.ops.planes import Plane, Planes

_CALM_PX = 0.8
"""Blur before motion is looked for: what is averaged must lie still to a fraction of a pixel, and detail shows that."""
_MATCH_PX = 7
"""Side of the square over which an aligned neighbour is compared with the frame."""
_FIFTHS = np.full(5, 0.2, np.float32)
_TRUSTED, _UNMATCHED = 0.5, 0.9
"""Share of the noise left after averaging in time: up to the first no more is done, from the second on all is."""


Channel = Callable[[Planes], Plane]
"""What is made of a picture's channels to be filtered by itself."""


@dataclass(frozen=True)
class _NoiseLevels:
    """Noise of the channels' mean, of red - blue and of green - (red + blue) / 2."""

    mean: float
    red_blue: float
    green: float
    coarse: float = 0
    """What of the mean's noise is left for a filter at half size."""

    def scale(self, share: float) -> _NoiseLevels:
        return _NoiseLevels(self.mean * share, self.red_blue * share, self.green * share)

    def at_least(self, mean: float) -> _NoiseLevels:
        """Raise all three until the first is ``mean``: what hides noise of the mean hides that of colour too."""
        if self.mean >= mean:
            return self
        return self.scale(mean / self.mean) if self.mean else _NoiseLevels(mean, 0, 0)


def restore(
    window: Clip, start: int, stop: int, params: DenoiseParams, reel: Reel, network: nn.Module | None = None
) -> torch.Tensor:
    """Return frames ``[start, stop)`` with less noise, size and channels kept."""
    if network is not None and (params.method == "network" or reel.frame_count == 1):
        # One at a time on every device: each has its own noise, and bits depend on no other.
        frames = window.part(start, stop).frames
        return torch.cat([_denoise_by_network(frame[None], params, network) for frame in frames])
    picture = cache(lambda number: planes.from_frame(window.frame(number)))
    code = cache(lambda number: flow.to_code(planes.luma(picture(number)), _CALM_PX))
    out = []
    for number in range(start, stop):
        near = reel.neighbors(number, params.radius) if params.method != "spatial" else range(number, number + 1)
        neighbors = [
            _match(flow.warp(picture(other), flow.motion(code(number), code(other))), picture(number))
            for other in near
            if other != number
        ]
        levels = _levels_beside(picture(number), neighbors, params) if neighbors else None
        levels = levels or window.memo.once(MEASURED, (number,), partial(_levels_alone, picture(number), params))
        out.append(_denoise(picture(number), neighbors, levels))
    return planes.to_frames(out, window.frames)


def measure(picture: StillRows, params: DenoiseParams) -> _NoiseLevels:
    """Return the noise of a whole still that is restored in strips."""
    if params.sigma is not None:
        return _levels_of_sigma(picture.channels, params.sigma)
    return _spatial_levels(picture.channels, picture.plane)


def _match(neighbor: Planes, picture: Planes) -> Planes:
    """Return a neighbour of the frame's exposure: what flickers would else be taken for another thing, or averaged."""
    return np.stack([evidence.match_exposure(plane, own) for plane, own in zip(neighbor, picture, strict=True)])


def _denoise(picture: Planes, neighbors: list[Planes], levels: _NoiseLevels) -> Planes:
    if levels.mean == levels.coarse == 0:
        return picture
    if not neighbors:
        return _denoise_spatial(picture, levels)
    return _filter_residual(*_average_aligned(picture, neighbors, levels.mean), levels)


# -- by a network


def _denoise_by_network(picture: torch.Tensor, params: DenoiseParams, network: nn.Module) -> torch.Tensor:
    """Return a picture ``(1, C, H, W)`` after a network that is told the noise, or was trained for one level of it."""
    if "sigma" not in ARCHITECTURES[str(network.architecture)].options:
        return models.restore(network, picture).to(picture.device)
    fine, coarse = (params.sigma, 0.0) if params.sigma is not None else _grain_sigmas(planes.from_frame(picture[0]))
    if fine > 0:
        picture = models.restore(network, picture, sigma=fine).to(picture.device)
    if coarse == 0:
        return picture
    half = functional.interpolate(picture, scale_factor=0.5, mode="area")
    change = models.restore(network, half, sigma=coarse).to(picture.device) - half
    return picture + functional.interpolate(change, size=picture.shape[-2:], mode="bilinear", align_corners=False)


def _grain_sigmas(picture: Planes) -> tuple[float, float]:
    """Return the noise at full size, and what of blurred grain is left for half size, over all channels."""
    sigmas = np.array([noise.grain_sigmas(plane) for plane in picture])
    fine, coarse = np.sqrt(np.mean(sigmas**2, axis=0))
    return float(fine), float(coarse)


# -- how much


def _levels_of_sigma(channels: int, sigma: float) -> _NoiseLevels:
    if channels == 1:
        return _NoiseLevels(sigma, 0, 0)
    return _NoiseLevels(sigma / np.sqrt(3), sigma * np.sqrt(2), sigma * np.sqrt(1.5))


def _levels_alone(picture: Planes, params: DenoiseParams) -> _NoiseLevels:
    if params.sigma is not None:
        return _levels_of_sigma(len(picture), params.sigma)
    return _spatial_levels(len(picture), lambda channel: channel(picture))


def _levels_beside(picture: Planes, neighbors: list[Planes], params: DenoiseParams) -> _NoiseLevels:
    if params.sigma is not None:
        return _levels_of_sigma(len(picture), params.sigma)
    restless = _restless_sigma(planes.luma(picture), [planes.luma(other) for other in neighbors])
    return _flat_levels(picture).at_least(restless)


def _flat_levels(picture: Planes) -> _NoiseLevels:
    if len(picture) == 1:
        return _NoiseLevels(noise.flat_sigma(picture[0]), 0, 0)
    mean, red_blue, green = _split_channels(picture)
    return _NoiseLevels(noise.flat_sigma(mean), noise.flat_sigma(red_blue, -1, 1), noise.flat_sigma(green, -1, 1))


def _spatial_levels(channels: int, plane_of: Callable[[Channel], Plane]) -> _NoiseLevels:
    """Measure at several scales: with no neighbours, nothing else tells blurred grain. One plane is held at a time."""
    fine, coarse = noise.grain_sigmas(plane_of(_mean))
    if channels == 1:
        return _NoiseLevels(fine, 0, 0, coarse)
    red_blue, green = (noise.grain_sigmas(plane_of(channel), -1, 1)[0] for channel in (_red_blue, _green))
    return _NoiseLevels(fine, red_blue, green, coarse)


# -- in time


def _restless_sigma(luma: Plane, neighbors: list[Plane]) -> float:
    """Return the noise that differs from frame to frame where motion is followed well.

    Film grain that a scan has blurred or a codec has smoothed shows little at the scale of single pixels; in time it
    shows whole. Differences of mean exposure do not count.
    """
    return min(noise.flat_deviation(luma, luma - other) for other in neighbors) / float(np.sqrt(2))


def _average_aligned(picture: Planes, neighbors: list[Planes], sigma: float) -> tuple[Planes, Plane]:
    """Average a frame with what its neighbours show of it; also return what share of the noise is left where."""
    luma, total = planes.luma(picture), picture.copy()
    weight_sum, square_sum = np.ones_like(luma), np.ones_like(luma)
    for other in neighbors:
        weight = _trust(luma, planes.luma(other), sigma)
        total += weight * other
        weight_sum += weight
        square_sum += weight * weight
    total /= weight_sum
    residual: Plane = np.sqrt(square_sum) / weight_sum
    return total, residual


def _trust(current: Plane, neighbor: Plane, sigma: float) -> Plane:
    """Return 1 where the two differ by no more than noise does, falling to 0 where they show different things."""
    excess: Plane = cv2.sqrBoxFilter(
        current - neighbor, cv2.CV_32F, (_MATCH_PX, _MATCH_PX), borderType=cv2.BORDER_REFLECT_101
    )
    excess *= -1 / (2 * sigma * sigma)
    excess += 1
    np.minimum(excess, 0, out=excess)
    out: Plane = cv2.exp(excess)
    return out


def _filter_residual(average: Planes, residual: Plane, levels: _NoiseLevels) -> Planes:
    """Filter in space what averaging left over, harder where nothing aligned."""
    usual = _denoise_spatial(average, levels.scale(float(np.median(residual))))
    mismatch = np.clip((residual - _TRUSTED) / (_UNMATCHED - _TRUSTED), 0, 1)
    if mismatch.mean() < 0.01:
        return usual
    return usual + (_denoise_spatial(average, levels) - usual) * mismatch


# -- in space


def _denoise_spatial(picture: Planes, levels: _NoiseLevels) -> Planes:
    if len(picture) == 1:
        return _denoise_mean(picture[0], levels)[None]
    mean, red_blue, green = _split_channels(picture)
    return _merge_channels(
        _denoise_mean(mean, levels),
        _denoise_difference(red_blue, levels.red_blue),
        _denoise_difference(green, levels.green),
    )


def _denoise_mean(mean: Plane, levels: _NoiseLevels) -> Plane:
    fine = noise.non_local_means(mean, levels.mean)
    if levels.coarse == 0:
        return fine
    half = noise.halve_evenly(fine)
    return cv2.add(fine, noise.double_like(noise.non_local_means(half, levels.coarse) - half, fine))


def _denoise_difference(plane: Plane, sigma: float) -> Plane:
    if sigma == 0 or min(plane.shape) < 2:
        return plane
    half = noise.halve_evenly(plane)
    fine = plane - noise.double_like(half, plane)
    fine *= _wiener_gain(fine, sigma)
    fine += noise.double_like(noise.non_local_means(half, sigma / 2), plane)
    return fine


def _wiener_gain(fine: Plane, sigma: float) -> Plane:
    # Not a box filter: its running sums depend on where a strip of the picture begins.
    energy = cv2.sepFilter2D(fine * fine, cv2.CV_32F, _FIFTHS, _FIFTHS, borderType=cv2.BORDER_REFLECT_101)
    # Estimated energy strays: only what is well above the noise's own counts as picture.
    return np.maximum(0, 1 - 1.5 * sigma * sigma / np.maximum(energy, 1e-12))


def _split_channels(picture: Planes) -> tuple[Plane, Plane, Plane]:
    return _mean(picture), _red_blue(picture), _green(picture)


def _mean(picture: Planes) -> Plane:
    plane: Plane = (picture[0] + picture[1] + picture[2]) / 3 if len(picture) == 3 else picture[0]
    return plane


def _red_blue(picture: Planes) -> Plane:
    plane: Plane = picture[0] - picture[2]
    return plane


def _green(picture: Planes) -> Plane:
    plane: Plane = picture[1] - (picture[0] + picture[2]) / 2
    return plane


def _merge_channels(mean: Plane, red_blue: Plane, green: Plane) -> Planes:
    around = mean - green / 3
    return np.stack([around + red_blue / 2, mean + green * np.float32(2 / 3), around - red_blue / 2])
