"""How pictures move as a whole, and paths laid beside."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from workers.ops import weave


def scene(seed: int = 0, height: int = 160, width: int = 240) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    total = sum(cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma for sigma in (2, 6, 16))
    return np.asarray(0.1 + 0.8 * (total - total.min()) / np.ptp(total), np.float32)


@pytest.mark.parametrize(("x", "y", "angle"), [(1.3, -0.6, 0.0), (0.0, 0.0, 0.01), (-4.2, 2.5, -0.005)])
def test_a_move_is_measured(x: float, y: float, angle: float) -> None:
    before = scene()
    after = weave.move(before[None], x, y, angle)[0]
    found = weave.measure_shift(weave.texture(before), weave.texture(after * 0.9 + 0.02))
    assert (found.x * 240, found.y * 240) == (pytest.approx(x, abs=0.08), pytest.approx(y, abs=0.08))
    assert found.angle == pytest.approx(angle, abs=5e-4)
    assert found.log_scale == pytest.approx(0, abs=1e-3)
    assert found.share > 0.8


def test_a_thing_that_goes_its_own_way_does_not_pull_the_picture_along() -> None:
    before, thing = scene(), scene(5, 70, 70)
    after = before.copy()
    before[40:110, 60:130] = after[40:110, 66:136] = thing
    found = weave.measure_shift(weave.texture(before), weave.texture(after))
    assert np.hypot(found.x, found.y) * 240 < 0.1


def test_of_unlike_pictures_no_motion_is_known() -> None:
    found = weave.measure_shift(weave.texture(scene(1)), weave.texture(scene(2)))
    assert found.share == found.x == found.y == found.angle == 0


def test_a_measure_comes_out_the_same_bit_for_bit_each_time() -> None:
    one, other = weave.texture(scene(1)), weave.texture(weave.move(scene(1)[None], 2, 1, 0.002)[0])
    first = weave.measure_shift(one, other)
    cv2.randn(np.empty((9, 9), np.float32), 0, 1)  # whoever else draws numbers
    assert weave.measure_shift(one, other) == first


def test_a_path_keeps_pans_and_their_starts_and_loses_shake() -> None:
    time = np.arange(90.0)
    pan = np.clip(time - 30, 0, 30) * 4
    shaken = pan + np.random.default_rng(0).normal(0, 1.0, 90)
    path = weave.trend(shaken, 5, 1.0)
    assert np.std(path - pan) < 0.45
    assert abs((path[-1] - path[0]) - 120) < 1.5
    assert np.std(weave.trend(pan, 5, 0.3) - pan) < 0.1


def test_a_straight_path_stays_and_a_single_jump_is_not_followed() -> None:
    line = np.linspace(3, 40, 50)
    np.testing.assert_allclose(weave.trend(line, 5, 0.3), line, atol=1e-6)
    jump = line.copy()
    jump[20] += 15
    assert np.abs(weave.trend(jump, 5, 0.3) - line).max() < 0.5


def test_a_band_of_five_is_solved_as_by_a_general_solver() -> None:
    rng = np.random.default_rng(1)
    weights, bends, values = rng.uniform(0.1, 2, 12), rng.uniform(0.1, 50, 10), rng.normal(size=12)
    second = np.diff(np.eye(12), 2, axis=0)
    full = np.diag(weights) + second.T @ np.diag(bends) @ second
    np.testing.assert_allclose(weave._solve(weights, bends, values), np.linalg.solve(full, weights * values))


def test_what_a_move_covers_is_what_came_from_inside() -> None:
    white = np.ones((1, 20, 30), np.float32)
    assert weave.covered(20, 30, 0, 0, 0).all()
    covered = weave.covered(20, 30, 3, -2, 0)
    assert not covered[:, :3].any()
    assert not covered[18:].any()
    assert covered[:18, 3:].all()
    np.testing.assert_allclose(weave.move(white, 3, -2, 0.01), 1, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50)])
def test_small_pictures_do_not_move(size: tuple[int, int]) -> None:
    blank = weave.texture(np.full(size, 0.4, np.float32))
    assert weave.measure_shift(blank, blank).share == 0
