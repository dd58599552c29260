"""How like a picture is to its reference: PSNR and SSIM of 8-bit pictures, and the grey floor.

PSNR and SSIM are taken of 8-bit pictures, one picture at a time. Luma is MATLAB's ``rgb2ycbcr``, 16 to 235, as all
tables of super-resolution have it; there as many pixels are cropped from each side as the picture was enlarged.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from workers.ops import lab

Levels = NDArray[np.uint8]
Plane = NDArray[np.float64]

MOST_DB = 100.0
"""PSNR of pictures that are equal."""
WINDOW_PX, WINDOW_SIGMA = 11, 1.5
_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_LUMA = np.array([65.481, 128.553, 24.966]) / _PEAK


def psnr(one: Levels, other: Levels) -> float:
    """Return ``10 log10(255^2 / MSE)`` in dB over all channels of two 8-bit pictures of one shape, at most 100."""
    return _decibels(one.astype(np.float64), other.astype(np.float64))


def luma_psnr(one: Levels, other: Levels, crop: int = 0) -> float:
    """Return the PSNR in dB of :func:`luma` of two pictures ``(H, W, 3)``, ``crop`` pixels left out at each side."""
    return _decibels(crop_sides(luma(one), crop), crop_sides(luma(other), crop))


def ssim(one: Levels, other: Levels) -> float:
    """Return SSIM (Wang et al. 2004) of two 8-bit pictures ``(H, W)`` or ``(H, W, 3)``, -1 to 1.

    Gaussian windows of 11 pixels, sigma 1.5, only those that lie wholly inside; population covariance; the mean of
    the channels. A picture smaller than a window has the windows that its mirrored edges give.
    """
    planes = (np.atleast_3d(each).astype(np.float64) for each in (one, other))
    pairs = zip(*(each.transpose(2, 0, 1) for each in planes), strict=True)
    return float(np.mean([_plane_ssim(first, second) for first, second in pairs]))


def luma_ssim(one: Levels, other: Levels, crop: int = 0) -> float:
    """Return SSIM of :func:`luma` of two pictures ``(H, W, 3)``, ``crop`` pixels left out at each side."""
    return _plane_ssim(crop_sides(luma(one), crop), crop_sides(luma(other), crop))


def luma(picture: Levels) -> Plane:
    """Return MATLAB's Y ``(H, W)`` of 8-bit sRGB ``(H, W, 3)``: 16 to 235, not rounded."""
    return np.asarray(picture @ _LUMA + 16, np.float64)


def crop_sides(plane: Plane, crop: int) -> Plane:
    """Return a plane without ``crop`` pixels at each side."""
    return plane[crop : plane.shape[0] - crop, crop : plane.shape[1] - crop]


def gray(picture: Levels) -> Levels:
    """Return an 8-bit picture ``(H, W, 3)`` without its colour: CIE Lab with a = b = 0, rounded.

    It is what a colorizer begins with, and how well it scores is the floor under every colorizer's figure.
    """
    planes = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / _PEAK
    light = lab.lightness(planes)
    plain = lab.clip_to_gamut(light, torch.zeros(1, 2, *light.shape[-2:]))
    return levels(plain[0].permute(1, 2, 0).numpy())


def levels(picture: NDArray[np.floating]) -> Levels:
    """Return 8-bit numbers of fractions 0..1: clipped, then rounded."""
    rounded: Levels = np.rint(np.clip(picture, 0, 1) * _PEAK).astype(np.uint8)
    return rounded


def _decibels(one: Plane, other: Plane) -> float:
    error = float(np.mean((one - other) ** 2))
    return min(MOST_DB, float(10 * np.log10(_PEAK**2 / error))) if error else MOST_DB


def _plane_ssim(one: Plane, other: Plane) -> float:
    mean_one, mean_other = _window(one), _window(other)
    product, squares = mean_one * mean_other, mean_one**2 + mean_other**2
    covariance = _window(one * other) - product
    variances = _window(one**2 + other**2) - squares
    ratio = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    margin = WINDOW_PX // 2
    inside = ratio[margin:-margin, margin:-margin] if min(ratio.shape) >= WINDOW_PX else ratio
    return float(inside.mean())


def _window(plane: Plane) -> Plane:
    return np.asarray(
        cv2.GaussianBlur(plane, (WINDOW_PX, WINDOW_PX), WINDOW_SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float64
    )
