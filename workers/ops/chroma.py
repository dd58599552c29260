"""Colour made calmer: smoothed within what is of one lightness, and kept from shouting."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_EVEN = 0.003
"""Variance of lightness (0..1) below which a place counts as even, and colour is smoothed across it."""
_UNBENT = 0.55
"""Share of the limit up to which chroma stays as it is."""

Chroma = NDArray[Any]
"""``(2, H, W)`` float32: a and b of CIE Lab."""


def smooth(chroma: Chroma, lightness: NDArray[Any], radius_px: int) -> Chroma:
    """Return chroma as a linear function of lightness around each place (guided filter, He, Sun and Tang 2010).

    Args:
        chroma: a and b.
        lightness: ``(H, W)`` float32, L of CIE Lab, 0..100.
        radius_px: Of the squares over which the function is fitted; 0 changes nothing.
    """
    if radius_px == 0:
        return chroma
    guide = lightness / np.float32(100)
    mean = _box(guide, radius_px)
    variance = np.maximum(_box(guide * guide, radius_px) - mean * mean, 0) + np.float32(_EVEN)
    smoothed = []
    for plane in chroma:
        plane_mean = _box(plane, radius_px)
        slope = (_box(guide * plane, radius_px) - mean * plane_mean) / variance
        smoothed.append(_box(slope, radius_px) * guide + _box(plane_mean - slope * mean, radius_px))
    return np.stack(smoothed)


def bend(chroma: Chroma, limit: float) -> Chroma:
    """Return chroma bent towards a limit that none reaches, its hue kept; a limit of 0 changes nothing."""
    if limit == 0:
        return chroma
    strength = np.hypot(*chroma)
    start = np.float32(_UNBENT * limit)
    room = np.float32(limit) - start
    bent = start + room * (1 - np.exp((start - strength) / room))
    share = np.where(strength > start, bent / np.maximum(strength, 1e-6), np.float32(1))
    return chroma * share.astype(np.float32)


def _box(plane: NDArray[Any], radius_px: int) -> NDArray[Any]:
    side = 2 * radius_px + 1
    mean: NDArray[Any] = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE)
    return mean
