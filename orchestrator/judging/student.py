"""Student's t and Wilson's interval: how far a mean or a share of few may lie from that of all.

W. S. Gosset ("Student"), The probable error of a mean, Biometrika 6 (1908); the finite series for whole degrees of
freedom are 26.7.3 and 26.7.4 of Abramowitz and Stegun, Handbook of mathematical functions (1964). E. B. Wilson,
Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
"""

from __future__ import annotations

import math
from statistics import NormalDist

HALVINGS = 60
"""Of a right angle: as fine as a float is."""


def quantile(share: float, degrees: int) -> float:
    """Return the t within which, to both sides of 0, a share of all values lies.

    Args:
        share: Between 0 and 1, exclusive; 0.95 for intervals of 95 %.
        degrees: Degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, degrees) < share else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _share_within(angle: float, degrees: int) -> float:
    """Return the share between -t and t, for t = √degrees · tan(angle)."""
    square = math.cos(angle) ** 2
    is_odd = degrees % 2 == 1
    term = math.sin(angle) * (math.cos(angle) if is_odd else 1.0)
    total = 0.0
    for number in range(3 if is_odd else 2, degrees + 1, 2):
        total += term
        term *= square * (number - 1) / number
    return 2 / math.pi * (angle + total) if is_odd else total


def share_interval(count: int, total: int, share: float = 0.95) -> tuple[float, float] | None:
    """Return Wilson's interval for ``count`` of ``total``, from 0 to 1; none of nothing."""
    if not total:
        return None
    normal = NormalDist().inv_cdf((1 + share) / 2)
    found, spread = count / total, normal * normal / total
    middle = found + spread / 2
    half = math.sqrt(spread * (found * (1 - found) + spread / 4))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
