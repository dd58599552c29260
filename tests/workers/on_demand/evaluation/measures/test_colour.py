"""Colorfulness by hand, and the two conventions apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.on_demand.evaluation.measures import colour


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, :4], picture[:, 4:] = left, right
    return picture


def test_grey_has_none_in_either_convention() -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert colour.colorfulness(grey) == colour.colorfulness(grey, "absolute") == 0


def test_the_conventions_agree_with_hand_arithmetic_and_differ_where_opponents_meet() -> None:
    # rg is 100 and -100, yb 50 and 50: signed std (100, 0), mean (0, 50); absolute std (0, 0), mean (100, 50).
    picture = halves((100, 0, 0), (0, 100, 0))
    assert colour.colorfulness(picture) == pytest.approx(100 + 0.3 * 50)
    assert colour.colorfulness(picture, "absolute") == pytest.approx(0.3 * math.hypot(100, 50))


def test_a_convention_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="signed or absolute"):
        colour.colorfulness(halves((1, 2, 3), (1, 2, 3)), "squared")  # type: ignore[arg-type]


def test_the_distance_of_means_hides_what_the_mean_of_distances_shows() -> None:
    assert colour.delta([10, 30], [30, 10]) == 0
    assert colour.delta_each([10, 30], [30, 10]) == 20
