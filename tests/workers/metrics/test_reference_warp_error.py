"""Warp error: nothing for what moves along, and by hand for what flickers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from workers.metrics import reference_warp_error
from workers.ops import planes

Frames = tuple[np.ndarray, np.ndarray]


def warp_error(made: Frames, true: Frames) -> float:
    views = (
        reference_warp_error.observe(planes.from_levels(one), planes.from_levels(other))
        for one, other in zip(made, true, strict=True)
    )
    return reference_warp_error.update(*views)


@pytest.fixture
def scene() -> np.ndarray:
    soft = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (96, 160, 3)), (0, 0), 3)
    return np.clip(128 + 220 * soft, 30, 220).astype(np.uint8)


def test_a_scene_that_stands_still_has_none(scene: np.ndarray) -> None:
    assert warp_error((scene, scene), (scene, scene)) < 1e-6


def test_a_jump_of_brightness_counts_with_its_square(scene: np.ndarray) -> None:
    brighter = scene + np.uint8(26)
    found = warp_error((scene, brighter), (scene, scene))
    assert found == pytest.approx((26 / 255) ** 2, rel=1e-3)


def test_what_moves_is_compared_with_where_it_went_by_the_references_motion(scene: np.ndarray) -> None:
    true = scene[:, :-8], scene[:, 3:-5]
    along = warp_error(true, true)
    unmoved = float(np.mean((true[0] / 255.0 - true[1] / 255.0) ** 2))
    assert along < unmoved / 10
    # Colours that stay behind while the scene moves on are what it is for.
    assert warp_error((true[0], true[0]), true) > 5 * along


def test_large_frames_are_compared_small_and_grey_ones_too(scene: np.ndarray) -> None:
    large = cv2.resize(scene, (1200, 720), interpolation=cv2.INTER_CUBIC)
    grey = large[..., :1]
    assert warp_error((grey, grey + np.uint8(10)), (grey, grey)) == pytest.approx((10 / 255) ** 2, rel=1e-2)
