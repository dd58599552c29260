"""Densities of dye layers, and fading taken out of them.

Light passes three layers of dye; the density of each is the negative logarithm of what it lets through. A dye that
fades loses a share of its density everywhere, and stains add some: so each layer is scaled and moved back (after
Trumpy, Chatterjee, Ruedel 2023, who do it with spectra). What each lost is read off its darkest and clearest places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.ops.planes import Plane, Planes

Levels = NDArray[np.float64]
PERCENTILES = (0.02, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.98)
"""Shares of the picture, in percent, whose layer is clearer than the density measured."""
_KNOTS = 4096
_LEAST_LIGHT = 1e-3
"""Below this share of full light, scans show no dye any more."""
_LEAST_DENSITY = 0.015
"""What is left of a clear layer: just short of white."""
_MOST_GAIN = 3.0
_LEAST_RANGE = 0.2
"""A picture with no more density between its clearest and its darkest place is blank, or nearly."""
_FULL_RANGE, _MOST_RISE = 2.3, 1.25
"""Density range of a sound print, and how far the fullest layer may be brought towards it: it has faded too."""
_UNLIKE_RANGES = (0.05, 0.30)
_UNLIKE_CLEAR = (0.02, 0.08)
_FLAT_RANGE = (1.1, 0.9)
"""Evidence of fading, from none to whole: how unlike ranges and clearest densities are, and how small the ranges."""
_WHOLE_RANGE = (2.4, 1.8)
"""Density range of the layer that has least, from which on it has lost nothing, and up to which all evidence counts:
scenes are unlike in their colours too, but where each layer has its whole range none of them faded."""
_COLORED = (0.016, 0.024)
"""Spread of colour up to which a picture is toned black and white, and from which on it is coloured."""


@dataclass(frozen=True)
class Fading:
    """What happened to the three layers of a picture."""

    clearest: Levels
    """``(3,)``: density of the clearest place of each."""
    gain: Levels
    """``(3,)``: by what its density must be multiplied."""
    evidence: float
    """0 where nothing says that they faded, to 1."""
    color: float
    """0 for grey, toned and blank pictures, where there is nothing to restore, to 1."""

    def amount(self, wanted: float | None) -> float:
        """Return how much of the fading to undo: what is wanted, or what the evidence bears; nothing without colour."""
        return self.color * (self.evidence if wanted is None else wanted)


def density(picture: Planes) -> Planes:
    """Return densities ``(C, H, W)``, 0 to 3, of planes in display gamma (IEC 61966-2-1)."""
    table = _density_of_code(np.arange(_KNOTS + 1) / _KNOTS)
    return np.stack([_look_up(plane, 0, 1, table) for plane in np.clip(picture, 0, 1)])


def linear_light(code: Levels) -> Levels:
    """Return linear light of codes 0..1 (IEC 61966-2-1)."""
    light: Levels = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light


def color_spread(picture: Planes) -> float:
    """Return the deviation of what of the colour does not follow from lightness; a tone over all has none."""
    if len(picture) == 1:
        return 0.0
    red, green, blue = (plane.astype(np.float64).ravel() for plane in picture)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    tone = _Tone(luma)
    return float(np.sqrt(tone.residual(red - green) + tone.residual(blue - green)))


class _Tone:
    """A smooth curve over lightness."""

    def __init__(self, luma: Levels) -> None:
        self._luma = luma
        self._bins = np.clip(luma * 16, 0, 15).astype(np.intp)
        self._counts = np.bincount(self._bins, minlength=16)
        self._used = np.flatnonzero(self._counts)
        self._centers = self._means(luma)

    def _means(self, values: Levels) -> Levels:
        means: Levels = np.bincount(self._bins, values, 16)[self._used] / self._counts[self._used]
        return means

    def residual(self, values: Levels) -> float:
        """Return the mean square of what does not follow the curve."""
        return float(np.mean((values - np.interp(self._luma, self._centers, self._means(values))) ** 2))


def estimate(levels: Levels, spread: float, crosstalk: float = 0.0) -> Fading:
    """Return how far the layers have faded.

    Args:
        levels: ``(9, 3)``, densities at :data:`PERCENTILES`.
        spread: Of colour; toned and grey pictures have not faded, however unlike their channels are.
        crosstalk: Share of each layer's density that the other two add to it.
    """
    clearest, darkest = (_unmix(levels[row], crosstalk) for row in (0, -1))
    span = np.maximum(darkest - clearest, 1e-3)
    widest = span.max()
    full = max(widest, min(_FULL_RANGE, widest * _MOST_RISE))
    unlike = max(
        _ramp(widest / span.min() - 1, *_UNLIKE_RANGES),
        _ramp(clearest.max() - clearest.min(), *_UNLIKE_CLEAR),
        _ramp(widest, *_FLAT_RANGE),
    )
    evidence = unlike * _ramp(span.min(), *_WHOLE_RANGE)
    color = _ramp(spread, *_COLORED) if widest > _LEAST_RANGE else 0.0
    return Fading(clearest, np.minimum(full / span, _MOST_GAIN), evidence, color)


def restore(picture: Planes, fading: Fading, amount: float, crosstalk: float = 0.0) -> Planes:
    """Return planes ``(3, H, W)`` with the share ``amount`` of the fading undone.

    What a value lies above 1 or below 0 is added to what becomes of 1 or 0.
    """
    inside = np.clip(picture, 0, 1)
    knots = np.arange(_KNOTS + 1) / _KNOTS
    if crosstalk:
        undone = _undo(_unmix(density(inside), crosstalk), fading, amount)
        low, high = float(undone.min()), float(undone.max()) + 1e-3
        table = _code_of_density(low + knots * (high - low))
        out = np.stack([_look_up(plane, low, high, table) for plane in undone])
    else:
        curves = _code_of_density(_undo(np.stack([_density_of_code(knots)] * 3), fading, amount))
        out = np.stack([_look_up(plane, 0, 1, curve) for plane, curve in zip(inside, curves, strict=True)])
    out += picture - inside
    return out


def _look_up(plane: Plane, low: float, high: float, table: Levels) -> Plane:
    """Return values of a table of equal steps from ``low`` to ``high``, straight between its knots."""
    place = (plane - np.float32(low)) * np.float32(_KNOTS / (high - low))
    knot = np.clip(place, 0, _KNOTS - 1).astype(np.int32)
    place -= knot
    found: Plane = np.take(np.diff(table).astype(np.float32), knot)
    found *= place
    found += np.take(table.astype(np.float32), knot)
    return found


def _undo(dyes: Levels, fading: Fading, amount: float) -> Levels:
    """Return densities ``(3, ...)``, each layer moved and scaled back by a share of the way."""
    shape = (3, *[1] * (dyes.ndim - 1))
    # Both ways are straight lines, and so is what lies between.
    slope = 1 + amount * (fading.gain - 1)
    offset = amount * fading.gain * (_LEAST_DENSITY - fading.clearest)
    undone: Levels = dyes * slope.astype(dyes.dtype).reshape(shape) + offset.astype(dyes.dtype).reshape(shape)
    return undone


def _unmix(densities: Levels, crosstalk: float) -> Levels:
    """Return what each layer adds itself, of densities ``(3, ...)``; grey stays as it is."""
    mean = densities.mean(axis=0)
    # Each channel shows its layer less ``crosstalk`` of it, and half of that of each of the others.
    unmixed: Levels = mean + (densities - mean) * (1 / (1 - 1.5 * crosstalk))
    return unmixed


def _density_of_code(code: Levels) -> Levels:
    densities: Levels = -np.log10(np.maximum(linear_light(code), _LEAST_LIGHT))
    return densities


def _code_of_density(densities: Levels) -> Levels:
    light = np.minimum(10.0 ** -densities.astype(np.float64), 1)
    code: Levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return code


def _ramp(value: float, nothing: float, whole: float) -> float:
    return float(np.clip((value - nothing) / (whole - nothing), 0, 1))
