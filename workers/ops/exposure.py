"""Exposure of a reel, frame by frame: levels of luma, mean colour, and where a new shot begins.

Inspect measures segments, merge joins the rows and makes the profile; stages read it. All three may import this.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import planes
from workers.ops.planes import Plane, Planes

PERCENTILES = (0.5, 2.0, 10.0, 25.0, 50.0, 75.0, 90.0, 98.0, 99.5)
"""Shares of the picture, in percent, whose luma is darker than the level measured."""

_BINS = 4096
_SMALL_WIDTH, _SMALL_HEIGHT = 16, 12
_COLORS = 3
_LEVELS = len(PERCENTILES)
_VISIBLE = 1e-3
"""Regulates likeness for pictures with no contrast to compare, such as black ones."""
_UNLIKE = 0.35
"""Unlikeness from which two neighbours can be different shots."""
_STANDS_OUT = 3.0
"""How many times more unlike than the pairs around it a cut is: fast motion is unlike all the time."""
_AROUND = 4

Rows = NDArray[np.float64]


def measure(frames: torch.Tensor) -> Rows:
    """Measure frames ``(T, C, H, W)``; each row depends on its own frame alone.

    Returns:
        ``(T, K)``: luma at :data:`PERCENTILES`, mean luma, mean red, green and blue, luma of a picture of 16 x 12.
    """
    return np.stack([_measure(planes.from_frame(frame)) for frame in frames])


def profile(measures: Rows) -> dict[str, NDArray[Any]]:
    """Turn the rows of a whole reel, in order, into its profile; every value has one row a frame.

    Returns:
        ``levels`` (N, 9), ``mean_luma`` (N,), ``colour`` (N, 3) as :func:`measure` gives them, and ``cut`` (N,) bool:
        whether a new shot begins with this frame.
    """
    ends = np.cumsum([_LEVELS, 1, _COLORS])
    levels, mean_luma, color, small = np.split(measures, ends, axis=1)
    return {"levels": levels, "mean_luma": mean_luma[:, 0], "colour": color, "cut": _cuts(small)}


def shots(profile: Mapping[str, NDArray[Any]]) -> tuple[Shot, ...]:
    """Return the ranges between cuts; together they cover the reel."""
    cut = profile["cut"]
    begins = [number for number in range(len(cut)) if number == 0 or cut[number]]
    return tuple(pairwise([*begins, len(cut)]))


def _measure(picture: Planes) -> NDArray[np.float64]:
    luma = planes.luma(picture)
    small = cv2.resize(luma, (_SMALL_WIDTH, _SMALL_HEIGHT), interpolation=cv2.INTER_AREA)
    means = [plane.mean(dtype=np.float64) for plane in (luma, *np.broadcast_to(picture, (_COLORS, *luma.shape)))]
    return np.concatenate([_levels(luma), means, small.ravel().astype(np.float64)])


def _levels(luma: Plane) -> NDArray[np.float64]:
    """Read percentiles off a fine histogram: exact to a fraction of 1/4096, and far cheaper than sorting."""
    index = np.clip(luma.ravel() * _BINS, 0, _BINS - 1).astype(np.intp)
    below = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=_BINS))]) / index.size * 100
    # Empty bins repeat a share; the least rise keeps the reading unique without moving it.
    below += np.arange(_BINS + 1) * 1e-12
    return np.interp(PERCENTILES, below, np.arange(_BINS + 1) / _BINS)


# -- cuts


def _cuts(small: Rows) -> NDArray[np.bool_]:
    """Say where a shot begins: unlike the frame before, far more so than the pairs around, and not a mere flash."""
    count = len(small)
    step = np.array([0.0, *(_unlikeness(small[n - 1], small[n]) for n in range(1, count))])
    cut = np.zeros(count, np.bool_)
    cut[:1] = True
    for number in range(1, count):
        around = np.delete(step[max(1, number - _AROUND) : number + _AROUND + 1], min(_AROUND, number - 1))
        usual = float(np.median(around)) if around.size else 0.0
        cut[number] = step[number] > max(_UNLIKE, _STANDS_OUT * usual) and not _is_flash(small, number)
    return cut


def _is_flash(small: Rows, number: int) -> bool:
    """Whether one odd frame stands at ``number`` or just before it inside the same shot."""
    pairs = ((number - 1, number + 1), (number - 2, number))
    return any(
        first >= 0 and last < len(small) and _unlikeness(small[first], small[last]) < _UNLIKE / 2
        for first, last in pairs
    )


def _unlikeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return 0 for the same picture at any brightness, 1 for unrelated ones, up to 2 for opposites."""
    first, second = one - one.mean(), other - other.mean()
    both = float(first @ second) / one.size
    apart = float(first @ first + second @ second) / one.size
    return 1 - (2 * both + _VISIBLE) / (apart + _VISIBLE)
