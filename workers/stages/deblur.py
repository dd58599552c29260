"""Takes back blur that is the same all over the picture: a soft focus, a soft print or scan.

One blur is measured for each shot, in the reel profile. Luma is sharpened by it, and what that changes is added to all
channels, so that colour stays and edges get no fringes.
"""

from __future__ import annotations

import torch

from db.catalog.stages.detail import DeblurParams
from workers.frames import Clip, Reel
from workers.ops import deconvolution, noise, planes
from workers.ops.planes import Planes

_LEAST_PX, _MOST_PX = 0.6, 2.5
"""A lesser measured blur is as good as none; of a greater one, so much is taken back."""
_CAUTION = 0.85
"""Share of a measured blur that is taken back: too much of it does harm."""
_CODEC_NOISE = 2 / 255
"""Least noise that is reckoned with unless a person said how far to go: what a codec left is no smooth picture."""


def restore(window: Clip, start: int, stop: int, params: DeblurParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` sharpened; those that are hardly blurred come back as they are."""
    out = []
    for number in range(start, stop):
        picture = planes.from_frame(window.frame(number))
        if params.sigma is not None:
            out.append(_sharpen(picture, params.sigma, 0.0))
        else:
            out.append(_sharpen(picture, _measured_sigma(picture, number, reel), _CODEC_NOISE))
    return planes.to_frames(out, window.frames)


def _measured_sigma(picture: Planes, number: int, reel: Reel) -> float:
    """Return the blur in pixels to be taken back; 0 where it is too small, or nothing is known."""
    blur = reel.profile.get("blur")
    if blur is None:
        return 0.0
    sigma = float(blur[number]) * max(picture.shape[1:])
    return _CAUTION * min(sigma, _MOST_PX) if sigma >= _LEAST_PX else 0.0


def _sharpen(picture: Planes, sigma: float, least_noise: float) -> Planes:
    if sigma == 0:
        return picture
    luma = planes.luma(picture)
    grain = max(sum(noise.grain_sigmas(luma)), least_noise)
    sharpened: Planes = picture + (deconvolution.sharpen(luma, sigma, grain) - luma)
    return sharpened
