"""Colorfulness by hand, and the two conventions apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.metrics import delta_colorfulness, delta_colorfulness_each
from workers.ops import colorfulness, planes
from workers.ops.planes import Planes


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Planes:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, :4], picture[:, 4:] = left, right
    return planes.from_levels(picture)


def test_grey_has_none_in_either_convention() -> None:
    grey = planes.from_levels(np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2))
    assert colorfulness.signed(grey) == pytest.approx(0, abs=1e-4)
    assert colorfulness.absolute(grey) == pytest.approx(0, abs=1e-4)
    assert colorfulness.signed(grey[:1]) == colorfulness.absolute(grey[:1]) == 0


def test_the_conventions_agree_with_hand_arithmetic_and_differ_where_opponents_meet() -> None:
    # rg is 100 and -100, yb 50 and 50: signed std (100, 0), mean (0, 50); absolute std (0, 0), mean (100, 50).
    picture = halves((100, 0, 0), (0, 100, 0))
    assert colorfulness.signed(picture) == pytest.approx(100 + 0.3 * 50, rel=1e-5)
    assert colorfulness.absolute(picture) == pytest.approx(0.3 * math.hypot(100, 50), rel=1e-5)


def test_the_distance_of_means_hides_what_the_mean_of_distances_shows() -> None:
    one, other = halves((100, 0, 0), (0, 100, 0)), halves((20, 0, 0), (0, 20, 0))
    both = np.array([delta_colorfulness.update(*pair) for pair in ((one, other), (other, one))])
    assert delta_colorfulness.compute(both) == 0
    apart = [delta_colorfulness_each.update(*pair) for pair in ((one, other), (other, one))]
    assert delta_colorfulness_each.compute(np.array(apart)) == pytest.approx(0.8 * 115, rel=1e-5)
