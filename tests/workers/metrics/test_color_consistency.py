"""Colour consistency, against sums done by hand."""

import numpy as np
import pytest

from workers.metrics import color_consistency


def test_equal_pictures_do_not_differ_and_disjoint_ones_differ_by_log_two() -> None:
    dark, light = np.zeros((3, 8, 8), np.float32), np.ones((3, 8, 8), np.float32)
    seen = [color_consistency.observe(picture) for picture in (dark, dark.copy(), light)]
    assert color_consistency.update(seen[0], seen[1]) == 0
    assert color_consistency.update(seen[0], seen[2]) == pytest.approx(np.log(2))


def test_divergence_is_that_of_the_histograms() -> None:
    one = np.repeat(np.array([0, 0, 0, 255]) / 255, 3).reshape(4, 3).T.reshape(3, 2, 2).astype(np.float32)
    other = np.repeat(np.array([0, 255, 255, 255]) / 255, 3).reshape(4, 3).T.reshape(3, 2, 2).astype(np.float32)
    p, q = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    m = (p + q) / 2
    expected = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
    got = color_consistency.update(color_consistency.observe(one), color_consistency.observe(other))
    assert got == pytest.approx(float(expected))


@pytest.mark.parametrize("size", [(40, 50), (151, 901)])
def test_levels_are_counted_as_an_eight_bit_file_would_have_them(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).normal(0.5, 0.4, (3, *size)).astype(np.float32)
    levels = np.clip(np.rint(picture * np.float32(255)), 0, 255).astype(int)
    expected = [[np.count_nonzero(plane == level) / plane.size for level in range(256)] for plane in levels]
    assert color_consistency.observe(picture).tolist() == expected


def test_more_pixels_than_float32_can_count_are_counted() -> None:
    assert color_consistency.observe(np.zeros((1, 4097, 4097), np.float32))[0, 0] == 1
