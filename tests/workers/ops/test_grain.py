"""Grain is measured in time and made alike."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from workers.ops import grain

Picture = NDArray[np.float32]


def scene(height: int = 224, width: int = 320) -> Picture:
    rng = np.random.default_rng(0)
    total = sum(cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma for sigma in (2, 6, 16))
    return np.asarray(0.2 + 0.6 * (total - total.min()) / np.ptp(total), np.float32)


def film_grain(seed: int, blur_px: float, height: int = 224, width: int = 320) -> Picture:
    """Grain of deviation 1 that a scan has blurred."""
    white = np.random.default_rng(seed).standard_normal((height + 32, width + 32)).astype(np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), blur_px) if blur_px else white
    return np.asarray(soft[16:-16, 16:-16] / soft.std(), np.float32)


def lag(plane: Picture, rows: int, columns: int) -> float:
    shifted = plane[rows:, columns:]
    same = plane[: plane.shape[0] - rows, : plane.shape[1] - columns]
    return float((shifted * same).mean() / plane.var())


@pytest.mark.parametrize("blur_px", [0.0, 0.5, 0.8])
def test_strength_and_coarseness_are_measured_under_motion_and_flicker(blur_px: float) -> None:
    base = scene()
    before = np.roll(base, 3, axis=1) + 0.03 * film_grain(1, blur_px)
    after = (base + 0.03 * film_grain(2, blur_px)) * 1.04
    variances, likeness = grain.measure(after, before)
    known = variances[variances != grain.UNKNOWN]
    assert np.sqrt(np.median(known)) == pytest.approx(0.03, rel=0.12)
    alike = likeness / likeness[0, grain.REACH_PX]
    truth = film_grain(2, blur_px)
    for rows, columns in ((0, 1), (0, 2), (1, 0), (1, 1), (2, 0)):
        assert alike[rows, grain.REACH_PX + columns] == pytest.approx(lag(truth, rows, columns), abs=0.1)


def test_grain_that_grows_with_light_is_told_level_by_level() -> None:
    ramp = np.tile(np.linspace(0.1, 0.9, 320, dtype=np.float32), (224, 1))
    frames = [ramp + (0.01 + 0.04 * ramp) * film_grain(seed, 0.6) for seed in (1, 2)]
    sigmas = np.sqrt(np.maximum(grain.measure(frames[1], frames[0])[0], 0))
    middles = (np.arange(1, 7) + 0.5) / grain.LEVELS
    np.testing.assert_allclose(sigmas[1:7], 0.01 + 0.04 * middles, rtol=0.2)


def test_a_repeated_frame_tells_nothing() -> None:
    variances, likeness = grain.measure(scene(), scene())
    assert (variances == grain.UNKNOWN).all()
    assert not likeness.any()


@pytest.mark.parametrize("blur_px", [0.0, 0.5, 0.9])
def test_made_grain_is_like_the_measured(blur_px: float) -> None:
    truth = film_grain(1, blur_px)
    alike = np.array([[_lag(truth, rows, columns) for columns in range(-7, 8)] for rows in range(8)])
    made = grain.field(np.random.Generator(np.random.Philox(key=[0, 1])), 400, 400, grain.kernel(alike))
    assert made.std() == pytest.approx(1, rel=0.03)
    for rows, columns in ((0, 1), (0, 2), (1, 0), (1, 1), (2, 0)):
        assert lag(made, rows, columns) == pytest.approx(lag(truth, rows, columns), abs=0.06)


def _lag(plane: Picture, rows: int, columns: int) -> float:
    return lag(plane if columns >= 0 else plane[:, ::-1], rows, abs(columns))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 40)])
def test_pictures_too_small_or_blank_tell_nothing(size: tuple[int, int]) -> None:
    blank = np.full(size, 0.4, np.float32)
    assert (grain.measure(blank, blank)[0] == grain.UNKNOWN).all()
