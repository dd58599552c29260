"""The grain of a reel, shot by shot: how strong at each level of luma, and how coarse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import grain, planes
from workers.ops.planes import Planes

LOOKS_BACK = True
_SHAPE = (grain.REACH_PX + 1, 2 * grain.REACH_PX + 1)
_CALM_QUANTILE = 0.25
_SEEN_SHARE = 0.25
"""Of the frames that tell of the level of which most do: of a level of which fewer do, nothing is believed."""


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure the grain of a frame, as it differs from the frame before.

    Returns:
        ``variance`` (8,) by level of luma, -1 where unknown; ``likeness`` (8, 15) float32, autocovariance at lags of
        0..7 rows and -7..7 columns; ``side`` (), the longer side in pixels.
    """
    luma = planes.luma(picture)
    variance, likeness = np.full(grain.LEVELS, grain.UNKNOWN), np.zeros(_SHAPE)
    if before is not None:
        variance, likeness = grain.measure(luma, planes.luma(before))
    return {
        "variance": variance,
        "likeness": likeness.astype(np.float32),
        "side": np.array(float(max(luma.shape))),
    }


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Return what grain each shot has.

    Returns:
        ``grain_sigma`` (N, 8), deviation at the middle of each of eight steps of luma; ``grain_likeness`` (N, 8, 15)
        float32, 1 at lag nothing; both 0 for a shot of which nothing is known. ``grain_shows`` (N,) bool, whether
        the frame differs from the one before; ``grain_side`` (N,), the longer side of the frames.
    """
    count = len(rows["side"])
    sigma, likeness = np.zeros((count, grain.LEVELS)), np.zeros((count, *_SHAPE), np.float32)
    for first, last in shots:
        # The first row of a shot compares it with another scene.
        pairs = slice(first + 1, last)
        sigma[first:last] = _sigmas(rows["variance"][pairs])
        likeness[first:last] = _mean_likeness(rows["likeness"][pairs])
    shows = (rows["variance"] != grain.UNKNOWN).any(axis=1)
    return {"grain_sigma": sigma, "grain_likeness": likeness, "grain_shows": shows, "grain_side": rows["side"]}


def _sigmas(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the deviation at each level, that of the nearest levels where too few frames tell.

    What moved in a frame adds to its grain and never takes from it, the more so at levels of which little is seen.
    """
    told = (variances >= 0).sum(axis=0)
    known = [level for level in range(grain.LEVELS) if told[level] > _SEEN_SHARE * told.max()]
    if not known:
        return np.zeros(grain.LEVELS)
    calm = [np.quantile(column[column >= 0], _CALM_QUANTILE) for column in (variances[:, level] for level in known)]
    sigmas: NDArray[np.float64] = np.sqrt(np.interp(np.arange(grain.LEVELS), known, calm))
    return sigmas


def _mean_likeness(likeness: NDArray[np.float32]) -> NDArray[Any]:
    """Return the mean over the frames of a shot, each counting by its grain, as shares of the variance."""
    total = likeness.sum(axis=0, dtype=np.float64)
    variance = total[0, grain.REACH_PX]
    return total / variance if variance > 0 else np.zeros(_SHAPE)
