"""How samples stand for light: from log and linear samples to display gamma and back. Pure numpy.

Log is Cineon printing density (Kodak, *Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data*, 1995): 0.002
density a code value of ten bits, negative gamma 0.6, reference black at 95 and reference white at 685; other depths
have the same shares of their full scale. Display gamma is the sRGB curve (IEC 61966-2-1), mirrored below black and
continued above white, so that nothing is clipped on the way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["gamma", "linear", "log"]
Values = NDArray[Any]
"""float32 or float64; 0..1 is the range of the samples (or of the display), with room on both sides."""

_FULL = 1023
_WHITE, _BLACK = 685 / _FULL, 95 / _FULL
_CODES_PER_DECADE = 0.6 / 0.002
_DECADES = _FULL / _CODES_PER_DECADE
"""Powers of ten of light in the whole range of samples."""
_FLARE = 10 ** ((_BLACK - _WHITE) * _DECADES)
_DARKEST = 1e-6
"""Less light than any sample stands for, those below the range too."""
_TOE, _TOE_SHOWN = 0.0031308, 0.0031308 * 12.92


def to_display(values: Values, transfer: Transfer) -> Values:
    """Return what a display is sent for samples of 0..1; reference black becomes 0, reference white 1."""
    if transfer == "gamma":
        return values
    if transfer == "log":
        values = (10.0 ** ((values - _WHITE) * _DECADES) - _FLARE) / (1 - _FLARE)
    light = np.abs(values)
    curved = np.where(light > _TOE, 1.055 * np.maximum(light, _TOE) ** (1 / 2.4) - 0.055, 12.92 * light)
    display: Values = np.copysign(curved, values)
    return display


def from_display(values: Values, transfer: Transfer) -> Values:
    """Return the samples of 0..1 that :func:`to_display` makes ``values`` of."""
    if transfer == "gamma":
        return values
    magnitude = np.abs(values)
    straight = np.where(
        magnitude > _TOE_SHOWN, ((np.maximum(magnitude, _TOE_SHOWN) + 0.055) / 1.055) ** 2.4, magnitude / 12.92
    )
    light: Values = np.copysign(straight, values)
    if transfer == "log":
        light = np.log10(np.maximum(light * (1 - _FLARE) + _FLARE, _DARKEST)) / _DECADES + _WHITE
    return light


@lru_cache(8)
def table(transfer: Transfer, depth_bits: int, low: float, span: float) -> NDArray[np.float32]:
    """Return what every code value of ``depth_bits`` is shown as; ``low`` and ``span`` are the layout's."""
    codes = (np.arange(2**depth_bits, dtype=np.float64) - low) / span
    return to_display(codes, transfer).astype(np.float32)
