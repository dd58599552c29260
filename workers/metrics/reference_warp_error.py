"""How steady a film is along the motion of its reference (Lai and others 2018).

Optical flow is estimated on the *reference* frames, since what was made may flicker; the later made frame is fetched
along it and compared with the earlier one, where the flow there and back agrees and away from the edges of motion.
Grey or blurred film scores well: read it beside colorfulness and sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.ops import flow, planes, reduce
from workers.ops.flow import Code
from workers.ops.planes import Planes

DISTANCES = (1,)
SIDE_PX = 480
"""Longest side at which frames are compared."""


@dataclass(frozen=True)
class GuidedView:
    """A frame as it is compared, and its reference as motion estimation wants it."""

    picture: Planes
    code: Code


def observe(picture: Planes, reference: Planes) -> GuidedView:
    """Return the frame at its size for comparing, with what motion is found by."""
    small = planes.resize_to_fit(reference, SIDE_PX)
    return GuidedView(planes.resize_to_fit(picture, SIDE_PX), flow.to_code(planes.luma(small)))


def update(earlier: GuidedView, later: GuidedView) -> float:
    """Return the mean squared difference on 0..1 where both show the same thing; 0 where nothing can be compared."""
    there, back = flow.motion(earlier.code, later.code), flow.motion(later.code, earlier.code)
    visible = flow.consistency_mask(there, back) & ~flow.motion_edges(there)
    if not visible.any():
        return 0.0
    difference = flow.warp(later.picture, there) - earlier.picture
    return float(np.mean(difference[:, visible] ** 2, dtype=np.float64))


def compute(values: NDArray[np.float64]) -> float:
    """Return the mean over distances ``(D, N)`` of the mean over all pairs of one distance."""
    return reduce.mean_of_rows(values)
