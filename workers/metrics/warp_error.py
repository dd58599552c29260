"""How far a frame is from the one before it, moved along (Lai and others 2018).

The later frame is fetched along the optical flow of luma and compared where flow there and back agrees:
``|w + w'|² <= 0.01 (|w|² + |w'|²) + 0.5`` (Ruder and others 2016), and away from motion's own edges. The value is the
mean square of the difference of all channels, on pictures of at most 480 pixels a side. Grey or blurred film scores
well: read it beside sharpness and colorfulness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.ops import flow, planes, reduce
from workers.ops.flow import Code
from workers.ops.planes import Planes

DISTANCES = (1,)
_SIDE_PX = 480


@dataclass(frozen=True)
class FrameView:
    """A frame as it is compared."""

    picture: Planes
    code: Code


def observe(picture: Planes) -> FrameView:
    """Return the frame at its size for comparing, and as motion estimation wants it."""
    small = planes.resize_to_fit(picture, _SIDE_PX)
    return FrameView(small, flow.to_code(planes.luma(small)))


def update(earlier: FrameView, later: FrameView) -> float:
    """Return the mean squared difference where both show the same thing; 0 where nothing can be compared."""
    there, back = flow.motion(earlier.code, later.code), flow.motion(later.code, earlier.code)
    seen = flow.consistency_mask(there, back) & ~flow.motion_edges(there)
    if not seen.any():
        return 0.0
    difference = flow.warp(later.picture, there) - earlier.picture
    return float(np.mean(difference[:, seen] ** 2, dtype=np.float64))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over distances ``(D, N)`` of the mean over all pairs of one distance."""
    return reduce.mean_of_rows(values)
