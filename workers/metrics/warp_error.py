"""How far a frame is from the one before it, moved along its own motion (Lai and others 2018).

The mean square of the difference of all channels, on pictures of at most 480 pixels a side. Grey or blurred film scores
well: read it beside sharpness and colorfulness.
"""

from __future__ import annotations

from workers.ops import warping
from workers.ops.planes import Planes
from workers.ops.reduce import mean_of_rows as compute
from workers.ops.warping import FrameView
from workers.ops.warping import mean_square as update

__all__ = ["compute", "observe", "update"]

DISTANCES = (1,)


def observe(picture: Planes) -> FrameView:
    """Return the frame at its size for comparing, and as motion estimation wants it."""
    return warping.view(picture, picture)
