"""What a network is shown of a picture: crops, and the wear of old photographs.

Every function takes a random generator that is seeded by the number of the sample, so a view can be made again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.training.photos import Picture

Plane = NDArray[np.float32]


def crop(picture: Picture, side: int, rng: np.random.Generator, least: float = 0.35) -> Picture:
    """Return a part of a picture, perhaps mirrored, as a square ``(side, side, 3)``.

    Args:
        picture: ``(H, W, 3)``.
        side: In pixels.
        rng: Draws which part.
        least: Smallest share of the picture's area.
    """
    height, width = picture.shape[:2]
    area, ratio = height * width * rng.uniform(least, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    high, wide = min(height, round(float(area / ratio) ** 0.5)), min(width, round(float(area * ratio) ** 0.5))
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    part = picture[top : top + high, left : left + wide]
    method = cv2.INTER_AREA if high * wide > side * side else cv2.INTER_CUBIC
    out = cv2.resize(part, (side, side), interpolation=method)
    return np.ascontiguousarray(out[:, ::-1] if rng.random() < 0.5 else out)


def cut_patch(picture: Picture, side: int, rng: np.random.Generator) -> Picture:
    """Return a square ``(side, side, 3)`` of the picture's own pixels, turned and mirrored at random."""
    height, width = picture.shape[:2]
    if min(height, width) < side:
        wider = (max(0, side - height), max(0, side - width))
        picture = np.pad(picture, ((0, wider[0]), (0, wider[1]), (0, 0)), mode="symmetric")
        height, width = picture.shape[:2]
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    out = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    return np.ascontiguousarray(out[:, ::-1] if rng.random() < 0.5 else out)


def to_lab(picture: Picture) -> Plane:
    """Return L, a and b ``(H, W, 3)`` of an RGB picture."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def add_wear(light: Plane, rng: np.random.Generator) -> Plane:
    """Return L ``(H, W)`` 0..100 as an old photograph may show it: faded, blurred, grainy, scratched, or as it was."""
    light = light.copy()
    if rng.random() < 0.5:
        light = np.float32(100) * np.power(light / 100, np.float32(np.exp(rng.uniform(-0.35, 0.35))), dtype=np.float32)
    if rng.random() < 0.3:
        low, high = rng.uniform(0, 20), rng.uniform(80, 100)
        light = np.float32(low) + light * np.float32((high - low) / 100)
    if rng.random() < 0.25:
        light = _blur(light, rng.uniform(0.3, 1.2))
    if rng.random() < 0.25:
        grain = rng.standard_normal(light.shape, np.float32)
        if rng.random() < 0.5:
            grain = 2 * _blur(grain, 0.8)
        light += grain * np.float32(rng.uniform(0.5, 6))
    if rng.random() < 0.1:
        for _ in range(rng.integers(1, 4)):
            x = int(rng.integers(light.shape[1]))
            light[:, x : x + 1] += np.float32(rng.uniform(-40, 40))
    out: Plane = np.clip(light, 0, 100).astype(np.float32)
    return out


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
