"""How colourful pictures are, in both conventions of the field.

Hasler and Suesstrunk 2003 on 0..255, with ``rg = R - G`` and ``yb = (R + G) / 2 - B``::

    sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)

``signed`` is the paper's. ``absolute`` takes ``|rg|`` and ``|yb|`` first: so do the programs of CT2, ColorFormer and
DDColor, and so do the tables that they print. It is the smaller number for most photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]
Convention = Literal["signed", "absolute"]


def colorfulness(picture: Levels, convention: Convention = "signed") -> float:
    """Return how colourful an 8-bit sRGB picture ``(H, W, 3)`` is: 0 for grey, beyond 100 for garish.

    Raises:
        ValueError: There is no such convention.
    """
    if convention not in ("signed", "absolute"):
        raise ValueError(f"colorfulness is signed or absolute, not {convention!r:.40}")
    red, green, blue = picture.astype(np.float64).transpose(2, 0, 1)
    rg, yb = red - green, (red + green) / 2 - blue
    if convention == "absolute":
        rg, yb = np.abs(rg), np.abs(yb)
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def delta(made: Sequence[float], true: Sequence[float]) -> float:
    """Return the distance of the mean colorfulness of two sets: ``|mean(made) - mean(true)|``."""
    return float(abs(np.mean(made) - np.mean(true)))


def delta_each(made: Sequence[float], true: Sequence[float]) -> float:
    """Return the mean distance of each picture's colorfulness from its reference's; never below :func:`delta`."""
    return float(np.mean(np.abs(np.subtract(made, true))))
