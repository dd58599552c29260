"""Where the gate's edges lie."""

import cv2
import numpy as np
import pytest

from workers.ops import gate


def scan(x: float, y: float, light: float = 0.6) -> np.ndarray:  # type: ignore[type-arg]
    """A light picture in a dark gate, ``(x, y)`` px off."""
    large = np.full((160 * 8, 200 * 8), 0.03, np.float32)
    left, top = round((12 + x) * 8), round((10 + y) * 8)
    texture = np.random.default_rng(0).uniform(-0.2, 0.2, (17, 22))
    inside = light + cv2.resize(texture, (176 * 8, 140 * 8))
    large[top : top + 140 * 8, left : left + 176 * 8] = inside
    small: np.ndarray = cv2.resize(large, (200, 160), interpolation=cv2.INTER_AREA)  # type: ignore[type-arg]
    return cv2.GaussianBlur(small, (0, 0), 0.8)


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.25), (-1.25, 2.0), (1.0, -1.5)])
@pytest.mark.parametrize("light", [0.4, 0.7])
def test_the_gate_is_followed_to_a_fraction_of_a_pixel(x: float, y: float, light: float) -> None:
    usual, moved = (np.array(gate.edges(scan(*at, light))) * 200 for at in ((0, 0), (x, y)))
    np.testing.assert_allclose(moved - usual, (x, y, x, y), atol=0.12)


def test_a_picture_without_a_gate_shows_none() -> None:
    assert gate.edges(np.full((60, 80), 0.5, np.float32)) == (gate.NOWHERE,) * 4
    assert gate.edges(np.zeros((60, 80), np.float32)) == (gate.NOWHERE,) * 4
    assert gate.edges(np.ones((1, 1), np.float32)) == (gate.NOWHERE,) * 4
