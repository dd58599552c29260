"""How far the pictures of a reel are blurred, shot by shot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import deconvolution, noise, planes
from workers.ops.planes import Planes

LOOKS_BACK = False


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure a frame by itself.

    Returns:
        ``blur`` (), the sigma of a Gaussian that would blur a sharp picture as much, as a share of the longer side; 0
        for a sharp picture, and where there is no edge to tell by.
    """
    luma = planes.luma(picture)
    grain = sum(noise.grain_sigmas(luma))
    return {"blur": np.array(deconvolution.blur_sigma(luma, grain) / max(luma.shape))}


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Return ``blur`` (N,): for each frame the median of its shot, since what is sharpened unevenly pumps."""
    blur = np.empty(len(rows["blur"]))
    for first, last in shots:
        blur[first:last] = np.median(rows["blur"][first:last])
    return {"blur": blur}
