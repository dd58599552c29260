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


def restore(window: Clip, start: int, stop: int, params: DeblurParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` sharpened; those that are hardly blurred come back as they are."""
    out = []
    for number in range(start, stop):
        picture = planes.from_frame(window.frame(number))
        sigma = params.sigma if params.sigma is not None else _measured_sigma(picture, number, reel)
        out.append(_sharpen(picture, sigma) if sigma > 0 else picture)
    return planes.to_frames(out, window.frames)


def _measured_sigma(picture: Planes, number: int, reel: Reel) -> float:
    """Return the blur in pixels to be taken back; 0 where it is too small, or nothing is known."""
    blur = reel.profile.get("blur")
    if blur is None:
        return 0.0
    sigma = float(blur[number]) * max(picture.shape[1:])
    return min(sigma, _MOST_PX) if sigma >= _LEAST_PX else 0.0


def _sharpen(picture: Planes, sigma: float) -> Planes:
    luma = planes.luma(picture)
    sharpened: Planes = picture + (deconvolution.sharpen(luma, sigma, sum(noise.grain_sigmas(luma))) - luma)
    return sharpened
