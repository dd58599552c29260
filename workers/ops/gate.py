"""Where the dark edges of the camera's gate lie in a scan that shows them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane

_DEPTH_SHARE = 0.12
"""Share of the picture, from each side, in which an edge is looked for."""
_DARK = 0.12
"""Luma up to which a border is the gate's."""
_RISE = 0.06
"""By how much the picture must be lighter."""
_INSIDE_PX = 5
_LEAST_ROWS = 0.4
"""Share of the lines across an edge that must show it."""
NOWHERE = -1.0


def edges(luma: Plane) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom edge as shares of the longer side; :data:`NOWHERE` for one that is not seen.

    The gate was in the camera or printer that made the picture, so it does not move with the scene.
    """
    height, width = luma.shape
    found = _edge(luma), _edge(luma.T), _edge(luma[:, ::-1]), _edge(luma[::-1].T)
    far = 0, 0, width - 1, height - 1
    left, top, right, bottom = (
        NOWHERE if place is None else abs(end - place) / max(height, width)
        for place, end in zip(found, far, strict=True)
    )
    return left, top, right, bottom


def _edge(luma: Plane) -> float | None:
    """Return where the dark border on the left ends: the median over the middle rows of where each is half light."""
    rows = luma[luma.shape[0] // 6 : luma.shape[0] - luma.shape[0] // 6]
    depth = int(rows.shape[1] * _DEPTH_SHARE)
    if depth < 2 * _INSIDE_PX or not len(rows):
        return None
    strip = rows[:, :depth].astype(np.float64)
    border = float(np.median(strip[:, :2]))
    if border > _DARK:
        return None
    crossings = _crossings(strip, border)
    return float(np.median(crossings)) if len(crossings) >= _LEAST_ROWS * len(rows) else None


def _crossings(strip: NDArray[np.float64], border: float) -> NDArray[np.float64]:
    """Return, for each row that shows the edge, where it is half as light as a little further in."""
    light = strip > border + _RISE
    first = np.argmax(light, axis=1)
    shows = light.any(axis=1) & (first >= 2) & (first + _INSIDE_PX < strip.shape[1])
    strip, first = strip[shows], first[shows]
    within = np.arange(-2, _INSIDE_PX + 1)
    profile = np.take_along_axis(strip, first[:, None] + within, axis=1)
    half = (border + profile[:, -1]) / 2
    above = profile >= half[:, None]
    at = np.argmax(above, axis=1)
    good = above.any(axis=1) & (at > 0) & (profile[:, -1] > border + _RISE)
    at, first, half, profile = at[good], first[good], half[good], profile[good]
    index = np.arange(len(at))
    low, high = profile[index, at - 1], profile[index, at]
    crossings: NDArray[np.float64] = first + within[at - 1] + (half - low) / np.maximum(high - low, 1e-6)
    return crossings
