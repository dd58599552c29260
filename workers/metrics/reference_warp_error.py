"""How steady a film is along the motion of its reference (Lai and others 2018).

Optical flow is estimated on the *reference* frames, since what was made may flicker; the later made frame is fetched
along it and compared with the earlier one. Grey or blurred film scores well: read it beside colorfulness and sharpness.
"""

from __future__ import annotations

from workers.ops import warping
from workers.ops.planes import Planes
from workers.ops.reduce import mean_of_rows as compute
from workers.ops.warping import FrameView
from workers.ops.warping import mean_square as update

__all__ = ["compute", "observe", "update"]

DISTANCES = (1,)


def observe(picture: Planes, reference: Planes) -> FrameView:
    """Return the frame at its size for comparing, with what motion is found by."""
    return warping.view(picture, reference)
