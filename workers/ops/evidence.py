"""What the neighbours of a frame in time say about it: what should be seen where, and how sure that is.

Neighbours are fetched along the flow and brought to the frame's exposure; then what a frame has and none of them has is
damage, unless they disagree among themselves. Noise is measured in time too: grain that a scan has blurred or a codec
has smoothed hardly shows at the scale of single pixels, and shows whole in what changes from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import flow
from workers.ops.flow import Code
from workers.ops.planes import Plane, Planes

_EXPOSURE_SIGMA_PX, _EXPOSURE_CLIP = 24.0, 0.12
"""Exposure changes over wide areas and by no more; what is narrower or stronger is picture, or damage."""
_SMALLER = 8
_SAME, _LEAST_POWER = 0.1, 1e-3
"""How alike places of a small picture are for their contrast to be compared; and how much contrast that takes."""
_GAINS = (0.8, 1.25)
_BINS = 12
"""Ranges of luma over 0..1 whose noise is measured apart: grain grows with the level."""
_LEAST_IN_BIN = 200
_SAMPLES = 40_000
_LEAST_NOISE = 0.012
_SPREAD_SIGMA_PX, _USUAL_SPREADS = 1.0, 2.0
_AREA_SIGMA_PX, _USUAL_IN_AREA, _AREA_SHARE = 8.0, 1.3, 3.0
"""How far neighbours must lie apart, at a place and over an area, in units of what is usual in the frame, before it is
held against them; and how much it is, over an area: there motion was not followed."""
_SHARE_OF_GRADIENT = 0.5
"""How far off, in pixels, a neighbour may lie before its edges speak."""
_Z_FLOOR, _WIDE_FLOOR = 0.6, 0.35
_WIDE_SIGMA_PX = 0.8
_PER_MAD = 1.4826
"""Standard deviation of normal noise whose median absolute deviation is 1."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """A plane of a frame against what its neighbours show."""

    expected: Plane
    """``(H, W)``: the median of the neighbours."""
    spread: Plane
    """How far the neighbours lie apart."""
    noise: Plane
    """Standard deviation of the frame's own noise at each pixel, of its level."""
    noise_levels: NDArray[np.float32]
    """The same by levels, as of :func:`noise_by_level`."""
    fine: Plane
    """Difference from what is expected in units of what is usual in this frame: signed, about 1 where nothing is."""
    wide: Plane
    """The same of the difference blurred a little, which shows faint damage of some size."""


def code(luma: Plane) -> Code:
    """Return luma as motion is looked for on it, small damage taken out: it must not be followed."""
    return flow.to_code(cv2.medianBlur(np.ascontiguousarray(luma, np.float32), 5))


def fetch(planes: Planes, like: Planes, there: NDArray[np.float32]) -> Planes:
    """Return a neighbour's planes as they would be seen in a frame ``like``: moved, and of its exposure.

    Args:
        planes: The neighbour, ``(C, H, W)``.
        like: The frame, of the same shape. Where motion leads out of the picture its own pixels are taken.
        there: Where each pixel of the frame is found in the neighbour, as of ``flow.motion``.
    """
    moved = flow.warp(planes, there)
    np.copyto(moved, like, where=_leads_out(there))
    return np.stack([match_exposure(plane, own) for plane, own in zip(moved, like, strict=True)])


def match_exposure(plane: Plane, like: Plane) -> Plane:
    """Return a plane with the contrast of another, and slow differences of level to it taken out, as flicker leaves."""
    height, width = plane.shape
    size = (max(1, width // _SMALLER), max(1, height // _SMALLER))
    matched = plane * _gain(*(cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (plane, like)))
    difference = like - matched
    # The level of the whole may lie further off than the rest is believed to.
    level = np.float32(np.median(sample(difference)))
    small = cv2.resize(np.clip(difference - level, -_EXPOSURE_CLIP, _EXPOSURE_CLIP), size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), _EXPOSURE_SIGMA_PX / _SMALLER, borderType=cv2.BORDER_REPLICATE)
    matched += level + cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return matched


def _gain(plane: Plane, like: Plane) -> np.float32:
    """Return the factor that brings the contrast of a small plane to another's, over places that show the same."""
    difference = like - plane
    same = np.abs(difference - np.median(difference)) < _SAME
    if not same.any():
        return np.float32(1)
    own, other = plane[same] - plane[same].mean(), like[same] - like[same].mean()
    power = float((own * own).mean())
    if power < _LEAST_POWER:
        return np.float32(1)
    return np.float32(np.clip(float((own * other).mean()) / power, *_GAINS))


def weigh(plane: Plane, references: Sequence[Plane]) -> Evidence:
    """Return what ``references``, one or more as of :func:`fetch`, say of a plane."""
    expected, spread = median_and_spread(references)
    levels = noise_by_level(plane, references)
    noise = noise_plane(levels, expected)
    difference = plane - expected
    reduced = np.copysign(np.maximum(np.abs(difference) - _disagreement(spread), 0), difference)
    z = reduced / np.sqrt(noise**2 + (_SHARE_OF_GRADIENT * _gradient(expected)) ** 2)
    wide = _blur(z, _WIDE_SIGMA_PX)
    fine = z / np.float32(max(_Z_FLOOR, robust_sigma(sample(z))))
    wide /= np.float32(max(_WIDE_FLOOR, robust_sigma(sample(wide))))
    return Evidence(expected, spread, noise, levels, fine, wide)


def _disagreement(spread: Plane) -> Plane:
    """Return by how much the frame must differ more, for all that its neighbours differ among themselves."""
    usual = np.float32(np.median(sample(spread)))
    place = _dilate(_blur(spread, _SPREAD_SIGMA_PX) - _USUAL_SPREADS * usual)
    area = _AREA_SHARE * (_blur(spread, _AREA_SIGMA_PX) - _USUAL_IN_AREA * usual)
    together: Plane = np.maximum(0, np.maximum(place, area))
    return together


def median_and_spread(planes: Sequence[Plane]) -> tuple[Plane, Plane]:
    """Return the median over planes, and the range from the lowest to the highest."""
    ranked = rank(planes)
    count = len(ranked)
    median: Plane = (ranked[(count - 1) // 2] + ranked[count // 2]) / 2
    return median, ranked[-1] - ranked[0]


def rank(planes: Sequence[Plane]) -> list[Plane]:
    """Return planes of the lowest, the next and so on at each pixel; of a handful, faster than sorting pixels."""
    ranked = list(planes)
    for last in range(len(ranked) - 1, 0, -1):
        for number in range(last):
            low, high = ranked[number], ranked[number + 1]
            ranked[number], ranked[number + 1] = np.minimum(low, high), np.maximum(low, high)
    return ranked


def sample(plane: Plane) -> Plane:
    """Return so many rows and columns of a plane as tell its noise."""
    step = max(1, round(np.sqrt(plane.size / _SAMPLES)))
    return plane[::step, ::step]


def noise_by_level(plane: Plane, references: Sequence[Plane]) -> NDArray[np.float32]:
    """Return the standard deviation of a frame's noise in each twelfth of 0..1, measured against its neighbours.

    The neighbour that follows best is believed. Where a level hardly occurs it has the noise of the nearest that does.
    """
    sigmas = np.array([_noise_against(plane, other) for other in references]).min(axis=0)
    known = np.flatnonzero(np.isfinite(sigmas))
    if not known.size:
        return np.full(_BINS, _LEAST_NOISE, np.float32)
    levels = np.interp(np.arange(_BINS), known, sigmas[known])
    sigmas_: NDArray[np.float32] = np.maximum(levels, _LEAST_NOISE).astype(np.float32)
    return sigmas_


def noise_plane(sigmas: NDArray[np.float32], level: Plane) -> Plane:
    """Return the noise of each pixel of a plane of levels; between the middles of the ranges it runs straight."""
    middles = (np.arange(_BINS) + 0.5) / _BINS
    return np.interp(level, middles, sigmas).astype(np.float32)


def robust_sigma(values: Plane) -> float:
    """Return the standard deviation of normal noise around 0, however much else lies far out."""
    return _PER_MAD * float(np.median(np.abs(values)))


def _noise_against(plane: Plane, other: Plane) -> NDArray[np.float64]:
    own, other = sample(plane), sample(other)
    difference, level = (own - other).ravel(), (own + other) / 2
    place = np.clip(level * _BINS, 0, _BINS - 1).astype(np.uint8).ravel()
    # Sorted by their range, differences of one lie together: fewer passes than to look for each range in turn.
    difference = difference[np.argsort(place, kind="stable")]
    stops = np.cumsum(np.bincount(place, minlength=_BINS))
    sigmas = np.full(_BINS, np.inf)
    for number, (start, stop) in enumerate(pairwise([0, *stops.tolist()])):
        inside: NDArray[Any] = difference[start:stop]
        if inside.size >= min(_LEAST_IN_BIN, difference.size):
            sigmas[number] = _PER_MAD * float(_median(np.abs(inside - _median(inside)))) / np.sqrt(2)
    return sigmas


def _median(values: NDArray[Any]) -> Any:
    """Return the very median that NumPy gives of a row, without what it does besides: it is asked of small parts."""
    middle = values.size // 2
    if values.size % 2:
        return np.partition(values, middle)[middle]
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return (low + high) / 2


def _leads_out(there: NDArray[np.float32]) -> Mask:
    height, width = there.shape[:2]
    x = np.arange(width, dtype=np.float32) + there[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + there[..., 1]
    outside: Mask = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
    return outside


def _gradient(plane: Plane) -> Plane:
    # A little blurred: grain is no edge.
    calm = _blur(plane, 1.0)
    across = cv2.Sobel(calm, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(calm, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return cv2.magnitude(across, down)


def _blur(plane: Plane, sigma_px: float) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)


def _dilate(plane: Plane) -> Plane:
    return cv2.dilate(plane, np.ones((3, 3), np.uint8))
