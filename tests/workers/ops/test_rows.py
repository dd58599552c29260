"""Sums by rows against sums of Python's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.ops import rows


@pytest.fixture
def plane() -> np.ndarray:
    return np.random.default_rng(3).normal(0.4, 0.3, (9, 257)).astype(np.float32)


def test_rows_are_summed_exactly_enough(plane: np.ndarray) -> None:
    for row, total, squares in zip(plane, rows.sums(plane), rows.square_sums(plane), strict=True):
        assert total == pytest.approx(math.fsum(map(float, row)), rel=1e-14)
        assert squares == pytest.approx(math.fsum(float(value) ** 2 for value in row), rel=1e-14)


def test_a_row_sums_up_alike_wherever_it_lies(plane: np.ndarray) -> None:
    for start in range(9):
        np.testing.assert_array_equal(rows.sums(plane[start:]), rows.sums(plane)[start:])
        np.testing.assert_array_equal(rows.square_sums(plane[start:].copy()), rows.square_sums(plane)[start:])


def test_moments_of_what_hardly_varies_keep_their_digits() -> None:
    flat = np.full((4, 5), 0.7, np.float32)
    values = np.stack([rows.sums(flat), rows.square_sums(flat)], axis=1)
    mean, deviation = rows.moments(values, flat.size)
    assert mean == pytest.approx(float(np.float32(0.7)), rel=1e-12)
    assert deviation < 1e-7


def test_rows_that_differ_in_one_sample_are_not_alike(plane: np.ndarray) -> None:
    other = plane.copy()
    other[4, 200] += 1
    assert np.flatnonzero(~rows.alike(plane, other)).tolist() == [4]
