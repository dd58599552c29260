"""Noise: how much there is, and non-local means against it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane

_SECOND_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_PER_SIGMA = float(6 * np.sqrt(2 / np.pi))
"""Mean absolute response of that mask to white noise of sigma 1."""
_BLOCK_PX = 16
_FLAT_PERCENTILE = 20
_QUIETEST_PERCENTILE = 3
_ALIKE, _UNLIKE = 1.25, 1.55
"""How far quiet and quietest blocks of a picture may differ: grain lies alike everywhere, texture does not."""
_FEWEST_BLOCKS = 48
"""Fewer cannot show whether they are alike by chance."""
_HEADROOM = 0.5
"""What lies beyond 0..1 on either side survives the trip through 16 bits."""


def response(plane: Plane) -> Plane:
    """Return the absolute response to the mask that edges and slopes hardly excite (Immerkaer 1996)."""
    signed = cv2.filter2D(plane, cv2.CV_32F, _SECOND_DIFFERENCE, borderType=cv2.BORDER_REFLECT_101)
    return np.abs(signed, out=signed)


def immerkaer_sigma(mean_response: float) -> float:
    """Return noise sigma of a plane with this mean response; fine texture counts as noise."""
    return mean_response / _PER_SIGMA


def flat_sigma(plane: Plane, low: float = 0.03, high: float = 0.97) -> float:
    """Return noise sigma measured where the picture is flat, 0 for a picture without noise.

    Only the quietest fifth of the blocks is asked, and only blocks whose mean lies between ``low`` and ``high``: what
    is clipped shows no noise.
    """
    return _quiet_level(_blocks(response(plane)), _blocks(plane), low, high) / _PER_SIGMA


def grain_sigmas(plane: Plane, low: float = 0.03, high: float = 0.97) -> tuple[float, float]:
    """Return noise that a filter at full size reaches, and noise of coarse grain left for one at half size.

    A scan, a resize or JPEG blurs grain over pixels, where the mask hardly sees it; on a smaller picture it does. White
    noise halves with every halving of the size, so what is measured there tells how strong it is here.
    """
    half = halve(plane)
    fine = flat_sigma(plane, low, high)
    wide = 2 * _uniform_sigma(half, _BLOCK_PX, low, high)
    # A little more at half size than white noise would leave is texture, not blur.
    fine += max(0.0, wide - fine) * float(np.clip((wide / max(fine, 1e-6) - 1.4) / 0.6, 0, 1))
    coarse = 2 * _uniform_sigma(halve(half), _BLOCK_PX // 2, low, high)
    # What passes the filter at full size has lost most of the noise of white spectrum, but not all.
    return fine, float(np.sqrt(max(0.0, coarse**2 - 1.5 * (fine / 2) ** 2)))


def halve(plane: Plane) -> Plane:
    """Return the plane at half its size, the mean of 2 x 2 pixels for each."""
    size = (max(1, plane.shape[1] // 2), max(1, plane.shape[0] // 2))
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def halve_evenly(plane: Plane) -> Plane:
    """Return the plane at half its size, rounded up, each pixel the mean of 2 x 2 at twice its place.

    So a part of a picture that begins at an even row becomes a part of the picture's half.
    """
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return halve(plane)


def double_like(half: Plane, large: Plane) -> Plane:
    """Return what :func:`halve_evenly` made of a plane of the size of ``large``, enlarged to that size again."""
    doubled = cv2.resize(half, (2 * half.shape[1], 2 * half.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(doubled[: large.shape[0], : large.shape[1]])


def _uniform_sigma(plane: Plane, block_px: int, low: float, high: float) -> float:
    """Return noise sigma where the picture is flat, down to 0 where quiet blocks are not alike: that is texture."""
    usable = _usable_blocks(_blocks(response(plane), block_px), _blocks(plane, block_px), low, high)
    if usable.size < _FEWEST_BLOCKS:
        return 0.0
    quietest, quiet = np.percentile(usable, (_QUIETEST_PERCENTILE, _FLAT_PERCENTILE))
    return float(quiet / _PER_SIGMA * np.clip((_UNLIKE - quiet / quietest) / (_UNLIKE - _ALIKE), 0, 1))


def flat_deviation(plane: Plane, difference: Plane) -> float:
    """Return how far ``difference`` strays from its mean within the quietest fifth of the blocks of ``plane``."""
    variance = _blocks(difference * difference) - _blocks(difference) ** 2
    return _quiet_level(np.sqrt(np.maximum(variance, 0)), _blocks(plane), 0.03, 0.97)


def _blocks(plane: Plane, block_px: int = _BLOCK_PX) -> Plane:
    size = (max(1, plane.shape[1] // block_px), max(1, plane.shape[0] // block_px))
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def _quiet_level(loud: Plane, mean: Plane, low: float, high: float) -> float:
    usable = _usable_blocks(loud, mean, low, high)
    return float(np.percentile(usable, _FLAT_PERCENTILE)) if usable.size else 0.0


def _usable_blocks(loud: Plane, mean: Plane, low: float, high: float) -> NDArray[Any]:
    return loud[(mean > low) & (mean < high) & (loud > 1e-6)]


def non_local_means(plane: Plane, sigma: float, template_px: int = 5, search_px: int = 11) -> Plane:
    """Return the plane with white noise of ``sigma`` averaged out over similar patches (Buades et al. 2005).

    Patches are compared at 16 bits; only the difference that averaging makes is taken from there, so nothing is
    quantised and ``sigma`` 0 changes nothing.
    """
    scale = 65535 / (1 + 2 * _HEADROOM)
    if sigma * scale < 1:
        return plane
    coded = np.clip(np.rint((plane + _HEADROOM) * scale), 0, 65535).astype(np.uint16)
    # 0.85 sigma did best on photographs at sigma 10 to 25 of 255; the small search window is both faster and better.
    smooth = cv2.fastNlMeansDenoising(coded, [0.85 * sigma * scale], None, template_px, search_px, cv2.NORM_L1)
    change: Plane = cv2.subtract(smooth, coded, dtype=cv2.CV_32F)
    change /= scale
    change += plane
    return change
