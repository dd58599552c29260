"""Densities of the three layers of dye, shot by shot: what fading is read off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import dye_density, noise, planes
from workers.ops.planes import Plane, Planes

LOOKS_BACK = False
_BORDER_SHARE = 0.06
"""Of each side, left out: borders of prints and the gate of a camera say nothing of the dye."""
_CODES = 1024
_SPREAD_PX = 96
"""Side at which colours are compared, so that grain is none."""
_CLEAN_SIGMA, _GRAINY_SIGMA = 0.008, 0.016
"""Noise up to which single pixels are believed, and from which on none is."""
_MOST_OWN, _SETTLED_FRAMES = 0.5, 24
"""A reel fades as one: a shot speaks for itself up to this share, half of which it has at so many frames."""


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure a frame by itself, its borders left out.

    Returns:
        ``densities`` (9, 3) at ``dye_density.PERCENTILES``, of red, green and blue; ``spread`` (), of its colours.
    """
    inner = _without_borders(picture)
    spread = dye_density.color_spread(planes.resize_to_fit(inner, _SPREAD_PX))
    return {"densities": _densities(inner), "spread": np.array(spread)}


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Return ``dye`` (N, 9, 3) and ``dye_spread`` (N,): medians of the shot, drawn towards those of the reel."""
    return {"dye": _by_shot(rows["densities"], shots), "dye_spread": _by_shot(rows["spread"], shots)}


def _densities(picture: Planes) -> NDArray[np.float64]:
    """Return ``(9, 3)``; in grainy pictures after a median over 5 x 5 pixels, or grain would be the clearest place."""
    grain = noise.flat_sigma(planes.luma(picture))
    share = float(np.clip((grain - _CLEAN_SIGMA) / (_GRAINY_SIGMA - _CLEAN_SIGMA), 0, 1))
    columns = []
    for plane in picture:
        sharp = _percentiles(plane)
        calm = _percentiles(cv2.medianBlur(np.ascontiguousarray(plane), 5)) if share else sharp
        columns.append(sharp + share * (calm - sharp))
    return np.stack(columns * (3 // len(columns)), axis=1)


def _by_shot(rows: NDArray[Any], shots: tuple[Shot, ...]) -> NDArray[Any]:
    whole = np.median(rows, axis=0)
    out = np.empty_like(rows, np.float64)
    for first, last in shots:
        share = _MOST_OWN * (last - first) / (last - first + _SETTLED_FRAMES)
        out[first:last] = whole + share * (np.median(rows[first:last], axis=0) - whole)
    return out


def _without_borders(picture: Planes) -> Planes:
    height, width = picture.shape[1:]
    down, right = int(_BORDER_SHARE * height), int(_BORDER_SHARE * width)
    return picture[:, down : height - down, right : width - right]


def _percentiles(plane: Plane) -> NDArray[np.float64]:
    """Read densities off a histogram of codes: exact to a fraction of 1/1024 of full scale."""
    index = np.clip(plane.ravel() * _CODES, 0, _CODES - 1).astype(np.intp)
    counts = np.bincount(index, minlength=_CODES)
    below = np.concatenate([[0], np.cumsum(counts)]) / index.size * 100
    # Empty bins repeat a share; the least rise keeps the reading unique without moving it.
    below += np.arange(_CODES + 1) * 1e-12
    # The clearest place has the highest code, so shares count from above.
    codes = np.interp(100 - np.array(dye_density.PERCENTILES), below, np.arange(_CODES + 1) / _CODES)
    densities: NDArray[np.float64] = dye_density.density(codes.astype(np.float32)[None])[0].astype(np.float64)
    return densities
