"""How the whole picture moves from frame to frame, and where the gate lies in the scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import gate, planes, weave
from workers.ops.planes import Planes

LOOKS_BACK = True


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure how a frame moved against the one before.

    Returns:
        ``shift`` (4,): x and y as shares of the longer side, angle in radians about the centre, logarithm of the
        scale; all 0 where the motion is not known and at the first frame. ``support`` (2,): share of points that move
        so, points followed. ``gate`` (4,): left, top, right and bottom edge of the gate as shares of the longer side,
        -1 where none is seen.
    """
    luma = planes.luma(picture)
    found = weave.Shift(0, 0, 0)
    if before is not None:
        earlier, later = weave.texture(planes.luma(before)), weave.texture(luma)
        found = weave.measure_shift(earlier, later)
    return {
        "shift": np.array([found.x, found.y, found.angle, found.log_scale]),
        "support": np.array([found.share, float(found.points)]),
        "gate": np.array(gate.edges(luma)),
    }


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Return ``shift`` (N, 4), ``support`` (N, 2) and ``gate`` (N, 4) as they are.

    How a shot is to move is for the stage to say: its parameters are not known here.
    """
    return dict(rows)
