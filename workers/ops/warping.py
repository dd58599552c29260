"""How far a frame is from the one before it, moved along (Lai and others 2018).

The later frame is fetched along the optical flow and compared where flow there and back agrees, ``|w + w'|² <= 0.01
(|w|² + |w'|²) + 0.5`` (Ruder and others 2016), and away from motion's own edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.ops import flow, planes
from workers.ops.flow import Code
from workers.ops.planes import Planes

SIDE_PX = 480
"""Longest side at which frames are compared."""


@dataclass(frozen=True)
class FrameView:
    """A frame as it is compared, and what motion is found by."""

    picture: Planes
    code: Code


def view(picture: Planes, guide: Planes) -> FrameView:
    """Return a frame ``(C, H, W)`` at its size for comparing, and the one whose motion it follows."""
    small = planes.resize_to_fit(guide, SIDE_PX)
    return FrameView(
        small if guide is picture else planes.resize_to_fit(picture, SIDE_PX), flow.to_code(planes.luma(small))
    )


def mean_square(earlier: FrameView, later: FrameView) -> float:
    """Return the mean squared difference on 0..1 where both show the same thing; 0 where nothing can be compared."""
    there, back = flow.motion(earlier.code, later.code), flow.motion(later.code, earlier.code)
    visible = flow.consistency_mask(there, back) & ~flow.motion_edges(there)
    if not visible.any():
        return 0.0
    difference = flow.warp(later.picture, there) - earlier.picture
    # Pixel by pixel, in the order of which the mean is summed up.
    seen = np.stack([plane[visible] for plane in difference], axis=1)
    return float(np.mean(seen**2, dtype=np.float64))
