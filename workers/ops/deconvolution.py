"""Sharpness of a picture: how far it is blurred, and blur taken back."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane

_CALM_PX, _REBLUR_PX = 0.8, 1.0
"""Sigma of a first blur, against grain, and of the known blur with which edges are compared."""
_EDGES_PERCENTILE, _SIGMA_PERCENTILE = 95, 50
_NATURAL_PX = 0.9
"""What edges of sharp photographs show after the first blur."""
_FEWEST_EDGES = 100
_LEAST_SLOPE = 0.008
_MOST_PX = 10.0
_POWER = 0.8
_CONTINUATION = (1.0, 8.0, 64.0, 256.0)
"""How strongly gradients are held to their sparse guess, round by round."""
_FIDELITY, _NOISE_UNIT = 3000.0, 1 / 255
_LEAST_NOISE = 0.75 / 255
"""Noise below this is not made use of: rounding is as much."""
_NOISE_WHOLE, _NOISE_NONE = 4 / 255, 12 / 255
"""Noise up to which all is sharpened, and from which on nothing: grain would become harder, not the picture."""
_HALO_SIDE_PX, _HALO_SHARE = 9, 0.15
"""A sharpened pixel may pass what lies around it by this share of what differs there."""

Spectrum = NDArray[Any]


def blur_sigma(luma: Plane, grain: float = 0.0) -> float:
    """Return the sigma in pixels of a Gaussian that would blur a sharp picture as much; 0 for a sharp one.

    A sharp edge loses more of its slope in a blur of known width than a soft one (Zhuo and Sim 2011). Only the ridges
    of the strongest edges are asked, which grain of deviation ``grain`` cannot have made; where there are hardly any,
    the answer is 0.
    """
    calm = cv2.GaussianBlur(luma, (0, 0), _CALM_PX, borderType=cv2.BORDER_REFLECT_101)
    across, down = _gradient(calm)
    slope = np.hypot(across, down)
    edges = _ridges(slope, np.abs(across) >= np.abs(down))
    if slope.size:
        edges &= slope >= max(float(np.percentile(slope, _EDGES_PERCENTILE)), _LEAST_SLOPE, grain)
    if np.count_nonzero(edges) < _FEWEST_EDGES:
        return 0.0
    soft = np.hypot(*_gradient(cv2.GaussianBlur(calm, (0, 0), _REBLUR_PX, borderType=cv2.BORDER_REFLECT_101)))
    ratio = slope[edges] / np.maximum(soft[edges], 1e-6)
    sigmas = _REBLUR_PX / np.sqrt(np.maximum(ratio**2 - 1, (_REBLUR_PX / _MOST_PX) ** 2))
    seen = float(np.percentile(sigmas, _SIGMA_PERCENTILE))
    return float(np.sqrt(max(0.0, seen**2 - _NATURAL_PX**2)))


def sharpen(plane: Plane, sigma: float, noise: float) -> Plane:
    """Return the plane with a Gaussian blur of ``sigma`` pixels taken back as far as its noise allows.

    Edges in pictures are few and clear: the sharp plane is sought that gives the blurred one and has gradients of a
    sparse kind (Krishnan and Fergus 2009). No pixel passes its surroundings by much, so edges get no halos.

    Args:
        plane: ``(H, W)`` float32.
        sigma: Of the blur; a guess too large does more harm than one too small.
        noise: Standard deviation of the noise of ``plane``: the more, the less is sharpened, and in the end nothing.
    """
    share = float(np.clip((_NOISE_NONE - noise) / (_NOISE_NONE - _NOISE_WHOLE), 0, 1))
    if sigma <= 0 or share == 0:
        return plane
    fidelity = _FIDELITY * _NOISE_UNIT / max(noise, _LEAST_NOISE)
    margin = math.ceil(4 * sigma) + 8
    blurred = _pad(plane, margin)
    blur, rough = _responses(blurred.shape[0], blurred.shape[1], sigma)
    known = np.fft.rfft2(blurred) * (fidelity * blur)
    sharp = blurred
    for weight in _CONTINUATION:
        spectrum = known + weight * np.fft.rfft2(_sparse_divergence(sharp, weight))
        spectrum /= fidelity * blur * blur + weight * rough + np.float32(1e-9)
        sharp = np.fft.irfft2(spectrum, blurred.shape)
    inner = sharp[margin : margin + plane.shape[0], margin : margin + plane.shape[1]]
    return plane + np.float32(share) * (_without_halos(inner.astype(np.float32), plane) - plane)


def _gradient(plane: Plane) -> tuple[Plane, Plane]:
    """Return slopes across and down between the neighbours of each inner pixel, ``(H - 2, W - 2)``."""
    return (plane[1:-1, 2:] - plane[1:-1, :-2]) / 2, (plane[2:, 1:-1] - plane[:-2, 1:-1]) / 2


def _ridges(slope: Plane, is_across: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the slope is greatest along its direction: the middle of an edge."""
    ridges = np.zeros(slope.shape, np.bool_)
    inner = slope[1:-1, 1:-1]
    across = (inner >= slope[1:-1, :-2]) & (inner >= slope[1:-1, 2:])
    down = (inner >= slope[:-2, 1:-1]) & (inner >= slope[2:, 1:-1])
    ridges[1:-1, 1:-1] = np.where(is_across[1:-1, 1:-1], across, down)
    return ridges


def _pad(plane: Plane, margin: int) -> Plane:
    """Return the plane with reflected margins of at least so many pixels, at a size that transforms fast."""
    height, width = (cv2.getOptimalDFTSize(side + 2 * margin) for side in plane.shape)
    down, right = height - plane.shape[0] - margin, width - plane.shape[1] - margin
    padded: Plane = cv2.copyMakeBorder(plane, margin, down, margin, right, cv2.BORDER_REFLECT)
    return padded


def _responses(height: int, width: int, sigma: float) -> tuple[Spectrum, Spectrum]:
    """Return what the blur, and what gradient and divergence together, do to each frequency."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + across**2))
    rough = 4 - 2 * np.cos(2 * np.pi * down) - 2 * np.cos(2 * np.pi * across)
    return blur.astype(np.float32), rough.astype(np.float32)


def _sparse_divergence(plane: Plane, weight: float) -> Plane:
    """Return the divergence of the plane's gradient with small slopes taken out; borders meet the opposite ones."""
    across, down = (_shrink(np.roll(plane, -1, axis) - plane, weight) for axis in (1, 0))
    divergence: Plane = np.roll(across, 1, 1) - across + np.roll(down, 1, 0) - down
    return divergence


def _shrink(slope: Plane, weight: float) -> Plane:
    """Return the slopes that cost least beside the given ones when a slope costs its power (Chartrand 2007)."""
    size = np.abs(slope)
    less = size - np.float32(_POWER / weight) * np.maximum(size, np.float32(1e-4)) ** np.float32(_POWER - 1)
    shrunk: Plane = np.sign(slope) * np.maximum(less, 0)
    return shrunk


def _without_halos(sharp: Plane, plane: Plane) -> Plane:
    around = np.ones((_HALO_SIDE_PX, _HALO_SIDE_PX), np.uint8)
    low, high = cv2.erode(plane, around), cv2.dilate(plane, around)
    margin = _HALO_SHARE * (high - low)
    held: Plane = np.clip(sharp, low - margin, high + margin)
    return held
