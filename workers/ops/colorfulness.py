"""How colourful a picture is, in both conventions of the field.

Hasler and Suesstrunk 2003 on 0..255, with ``rg = R - G`` and ``yb = (R + G) / 2 - B``::

    sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)

``signed`` is the paper's. ``absolute`` takes ``|rg|`` and ``|yb|`` first: so do the programs of CT2, ColorFormer and
DDColor, and so do the tables that they print. It is the smaller number for most photographs.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane, Planes


def signed(picture: Planes) -> float:
    """Return how colourful planes ``(C, H, W)`` of gamma-coded 0..1 are: 0 for grey, beyond 100 for garish."""
    return 0.0 if len(picture) == 1 else _spread(*_opponents(picture))


def absolute(picture: Planes) -> float:
    """Return the same on the absolute values of both axes."""
    return 0.0 if len(picture) == 1 else _spread(*(np.abs(axis) for axis in _opponents(picture)))


def _opponents(picture: Planes) -> tuple[Plane, Plane]:
    red, green, blue = picture
    return red - green, cv2.subtract(cv2.addWeighted(red, 0.5, green, 0.5, 0), blue)


def _spread(rg: Plane, yb: Plane) -> float:
    rg_mean, rg_std = _moments(rg)
    yb_mean, yb_std = _moments(yb)
    return float(255 * (np.hypot(rg_std, yb_std) + 0.3 * np.hypot(rg_mean, yb_mean)))


def _moments(axis: NDArray[np.float32]) -> tuple[float, float]:
    mean, std = cv2.meanStdDev(axis)
    return float(mean.item()), float(std.item())
