"""Takes back what the dyes of colour film and prints have lost.

Each layer's density is scaled and moved, by what the darkest and the clearest places of the shot tell. Nothing is
balanced: a true cast of the scene that is the same at all densities stays. Grey and toned pictures come back as they
are, and so do those that show no sign of fading, unless an amount is given.
"""

from __future__ import annotations

import torch

from db.catalog.stages.color import FadingParams
from workers.frames import Clip, Reel
from workers.ops import dye_density, planes
from workers.ops.dye_density import Levels
from workers.ops.planes import Planes
from workers.profiles import dye


def restore(window: Clip, start: int, stop: int, params: FadingParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` with their dyes restored, size and channels kept."""
    out = []
    for number in range(start, stop):
        picture = planes.from_frame(window.frame(number))
        out.append(_restore_picture(picture, window.sources[number - window.start], params, reel))
    return planes.to_frames(out, window.frames)


def _restore_picture(picture: Planes, source: int, params: FadingParams, reel: Reel) -> Planes:
    if len(picture) == 1:
        return picture
    levels, spread = _densities(picture, source, reel)
    fading = dye_density.estimate(levels, spread, params.crosstalk)
    amount = fading.amount(params.amount)
    return dye_density.restore(picture, fading, amount, params.crosstalk) if amount else picture


def _densities(picture: Planes, source: int, reel: Reel) -> tuple[Levels, float]:
    """Return densities and spread of colour of the shot, or of the picture where nothing is known of the reel."""
    if "dye" in reel.profile:
        return reel.profile["dye"][source], float(reel.profile["dye_spread"][source])
    row = dye.measure(picture, None)
    return row["densities"], float(row["spread"])
