"""How steady the colours of a film are: warp error along the flow of its references.

Lai and others 2018: optical flow is estimated on the *reference* frames, since what was made may flicker; the later
made frame is fetched along it and compared with the earlier one, where the flow there and back agrees and away from
the edges of motion. Grey or blurred film scores well: read it beside colorfulness and sharpness.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import flow, planes

Levels = NDArray[np.uint8]

SIDE_PX = 480
"""Longest side at which frames are compared."""


def warp_error(made: tuple[Levels, Levels], true: tuple[Levels, Levels]) -> float:
    """Return the mean squared difference on 0..1 of two neighbouring made frames, along the flow of the references.

    Args:
        made: The earlier and the later frame, 8-bit ``(H, W, C)``.
        true: The references' frames at the same places, of the same size.
    """
    before, after = (_small(frame) for frame in true)
    codes = [flow.to_code(planes.luma(frame)) for frame in (before, after)]
    there, back = flow.motion(codes[0], codes[1]), flow.motion(codes[1], codes[0])
    seen = flow.consistency_mask(there, back) & ~edges(there)
    if not seen.any():
        return 0.0
    earlier, later = (_small(frame) for frame in made)
    difference = flow.warp(later, there) - earlier
    return float(np.mean(difference[:, seen] ** 2, dtype=np.float64))


def edges(there: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return ``(H, W)``: where motion changes too fast to be believed (Ruder and others 2016)."""
    across, down = np.gradient(there, axis=1), np.gradient(there, axis=0)
    steep: NDArray[np.bool_] = (across**2 + down**2).sum(axis=2) > 0.01 * (there**2).sum(axis=2) + 0.002
    return steep


def _small(frame: Levels) -> NDArray[np.float32]:
    longest = max(frame.shape[:2])
    if longest > SIDE_PX:
        size = tuple(max(1, round(side * SIDE_PX / longest)) for side in frame.shape[1::-1])
        frame = np.atleast_3d(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(frame.transpose(2, 0, 1).astype(np.float32) / 255)
