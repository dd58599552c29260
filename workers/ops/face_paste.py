"""A face made clearer without inventing any of it, and put back without a seam."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import deconvolution, noise
from workers.ops.planes import Plane, Planes

ALIGNED_PX = 512
"""Side of the square in which networks know faces."""
_TEMPLATE = np.array(
    [(192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15)], np.float32
)
"""Where eyes, nose and corners of the mouth lie in it: those of FFHQ (Karras, Laine, Aila 2019), cut as is usual."""
_ALIGNED_FACE_PX = 256.0
"""About the side of a face in it."""

_MOST_SIGMA_PX = 2.5
_TRUST = 0.85
"""Of the blur that is measured, what is taken back: too little looks natural, too much does not."""
_BLURRED_PX = (0.5, 1.0)
"""Blur up to which a face is sharp and stays as it is, and from which on it gets all that it may."""
_GRAINY = (12 / 255, 4 / 255)
"""Grain from which on a face stays as it is, and up to which it gets all: features cannot be told from it."""
_CONTRAST = 0.35
"""By how much features (eyes, mouth, nose) are raised at full contrast."""
_TONE_SHARE = 1 / 8
"""Of a face's side: what varies more slowly is tone, and is kept as it was."""
_FEATHER_SHARE = 1 / 15


def soft_ellipse(
    shape: tuple[int, int], middle: tuple[float, float], axes: tuple[float, float], degrees: float, feather_px: float
) -> Plane:
    """Return ``(H, W)`` float32: 1 in an ellipse, falling to 0 over about two feathers inside its edge."""
    hard = np.zeros(shape, np.uint8)
    bits = 4
    whole = tuple(round(value * (1 << bits)) for value in middle)
    half = tuple(max(1, round((axis - 2 * feather_px) * (1 << bits))) for axis in axes)
    cv2.ellipse(hard, whole, half, degrees, 0, 360, 255, cv2.FILLED, shift=bits)
    soft = cv2.GaussianBlur(hard.astype(np.float32) / 255, (0, 0), max(feather_px, 0.5))
    # Cut to nothing where hardly anything is left, so that a mask of it ends.
    clear: Plane = np.clip((soft - 0.02) / 0.98, 0, 1)
    return clear


def feather_px(side_px: float) -> float:
    """Return how softly a face of that size is put back."""
    return side_px * _FEATHER_SHARE


def clear_up(luma: Plane, side_px: float, contrast: float) -> Plane | None:
    """Return the luma of a face with blur taken back and features raised; none for one that is sharp.

    Args:
        luma: ``(H, W)``, the face and a little around it.
        side_px: Of the face.
        contrast: How far features are raised, 0 to 1.
    """
    grain = noise.flat_sigma(luma)
    sigma = deconvolution.blur_sigma(luma, grain)
    share = _ramp(sigma, *_BLURRED_PX) * _ramp(grain, *_GRAINY)
    if share == 0:
        return None
    sharp = deconvolution.sharpen(luma, min(_TRUST * sigma, _MOST_SIGMA_PX), grain)
    raised = sharp + np.float32(_CONTRAST * contrast) * _features(luma, side_px)
    return hold_tone(luma + np.float32(share) * (raised - luma), luma, side_px)


def alignment(points: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Return the similarity ``(2, 3)`` from a picture to the upright square, of the five points ``(5, 2)`` of a face.

    None where the points lie so that there is none.
    """
    cv2.setRNGSeed(0)  # it tries points by chance, and the same must come out again
    matrix: Any = cv2.estimateAffinePartial2D(points, _TEMPLATE, method=cv2.LMEDS)[0]
    if matrix is None or not np.isfinite(matrix).all() or _scale(matrix) < 1e-3:
        return None
    found: NDArray[np.float64] = matrix
    return found


def cut_out(picture: Planes, matrix: NDArray[np.float64]) -> Planes:
    """Return the face of a picture ``(C, H, W)`` upright, ``(C, 512, 512)``."""
    size = (ALIGNED_PX, ALIGNED_PX)
    # Where the square is smaller than the face, detail finer than its pixels would come out as false patterns.
    blur = 0.5 * np.sqrt(max(0.0, _scale(matrix) ** -2 - 1))
    calm = [_blur(plane, blur) if blur > 0.1 else plane for plane in picture]
    return np.stack(
        [cv2.warpAffine(p, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for p in calm]
    )


def change_of_network(before: Plane, after: Plane, matrix: NDArray[np.float64], shape: tuple[int, int]) -> Plane:
    """Return ``(H, W)``: what a network changed in the luma of an upright face, where the picture has the face.

    Tone is held. Where the network took grain out, less is changed, so that as much of it is left as there was.
    """
    change = hold_tone(after, before, _ALIGNED_FACE_PX) - before
    # What is finer than features and changes everywhere alike is grain that went: it is put back.
    fine = change - _blur(change, 1.5)
    lost = noise.flat_sigma(before) - noise.flat_sigma(after)
    if lost > 0:
        change = change - fine * np.float32(np.clip(lost / max(noise.flat_sigma(before), 1e-6), 0, 1))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back: Plane = cv2.warpAffine(change, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return back


def _scale(matrix: NDArray[np.float64]) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _ramp(value: float, nothing: float, whole: float) -> float:
    return float(np.clip((value - nothing) / (whole - nothing), 0, 1))


def hold_tone(changed: Plane, luma: Plane, side_px: float) -> Plane:
    """Return ``changed`` with what varies slowly over a face taken from ``luma``: light and shade stay."""
    change = changed - luma
    held: Plane = luma + change - _blur(change, side_px * _TONE_SHARE)
    return held


def _features(luma: Plane, side_px: float) -> Plane:
    """Return what of the luma is as large as eyes and mouth: neither grain nor tone."""
    features: Plane = _blur(luma, side_px / 50) - _blur(luma, side_px * _TONE_SHARE)
    return features


def _blur(plane: Plane, sigma: float) -> Plane:
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
