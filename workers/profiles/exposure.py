"""Exposure of a reel, frame by frame: levels of luma and mean colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import codes, planes
from workers.ops.planes import Plane, Planes
from workers.ops.strips import strips

PERCENTILES = (0.5, 2.0, 10.0, 25.0, 50.0, 75.0, 90.0, 98.0, 99.5)
"""Shares of the picture, in percent, whose luma is darker than the level measured."""

LOOKS_BACK = False
_BINS = 4096
_COLORS = 3


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure a frame by itself.

    Returns:
        ``levels`` (9,), luma at :data:`PERCENTILES`; ``mean_luma`` (); ``color`` (3,), mean red, green and blue.
    """
    luma = planes.luma(picture)
    mean_luma, *_ = cv2.mean(luma)  # summed in float64
    color = [mean_luma] * _COLORS if len(picture) == 1 else [cv2.mean(plane)[0] for plane in picture]
    return {"levels": _levels(luma), "mean_luma": np.asarray(mean_luma), "color": np.array(color)}


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Return the rows as they are: ``levels`` (N, 9), ``mean_luma`` (N,) and ``color`` (N, 3)."""
    return dict(rows)


def _levels(luma: Plane) -> NDArray[np.float64]:
    """Read percentiles off a fine histogram: exact to a fraction of 1/4096, and far cheaper than sorting."""
    below = np.concatenate([[0], np.cumsum(_histogram(luma))]) / luma.size * 100
    # Empty bins repeat a share; the least rise keeps the reading unique without moving it.
    below += np.arange(_BINS + 1) * 1e-12
    return np.interp(PERCENTILES, below, np.arange(_BINS + 1) / _BINS)


def _histogram(luma: Plane) -> NDArray[np.intp]:
    """Return how many pixels lie in each of 4,096 equal steps from 0 to 1; the first and last have what is outside."""
    coded, counts = codes.to_codes(luma), np.zeros(_BINS, np.intp)
    if coded is not None:
        np.add.at(counts, _bins(coded.values, np.empty_like(coded.values)), coded.counts())
        return counts
    for rows, (spare,) in strips(luma.shape, 1):
        counts += np.bincount(_bins(luma[rows], spare).ravel(), minlength=_BINS)
    return counts


def _bins(values: NDArray[np.float32], spare: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.clip(np.multiply(values, _BINS, out=spare), 0, _BINS - 1, out=spare).astype(np.intp)
