"""Thin marks of any direction."""

import cv2
import numpy as np
import pytest

from workers.ops import cracks


def card(seed: int = 0) -> np.ndarray:
    return (0.5 + 0.01 * np.random.default_rng(seed).standard_normal((96, 96))).astype(np.float32)


@pytest.mark.parametrize("end", [(80, 20), (80, 50), (50, 85), (20, 85)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_crack_of_any_direction_is_found(end: tuple[int, int], sign: int) -> None:
    plane, true = card(), np.zeros((96, 96), np.uint8)
    cv2.line(true, (20, 20), end, 1, 2)
    plane[true > 0] += 0.3 * sign
    found = cracks.find(plane, 1.0, 0.05, (1, -1))
    assert found[true > 0].mean() > 0.6
    assert found.sum() < 3 * true.sum()
    assert not cracks.find(plane, 1.0, 0.05, (-sign,))[true > 0].any()


def test_grain_and_an_edge_are_no_cracks() -> None:
    plane = card()
    plane[:, 48:] += 0.3
    assert cracks.find(plane, 1.0, 0.05, (1, -1)).mean() < 0.01


def test_a_picture_smaller_than_a_mark_has_none() -> None:
    assert not cracks.find(np.zeros((5, 40), np.float32), 1.0, 0.05, (1, -1)).any()
