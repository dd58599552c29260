"""NIQE's distributions by SciPy's, its distance by hand, and its direction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import linalg, stats

from workers.ops import naturalness
from workers.ops.naturalness import Pristine


def photo(seed: int, side: int = 288) -> np.ndarray:
    """Soft shapes and a little texture ``(H, W, 3)``."""
    chance = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(chance.normal(0, 1, (side, side, 3)), (0, 0), 6)
    fine = cv2.GaussianBlur(chance.normal(0, 1, (side, side, 3)), (0, 0), 1)
    return np.clip(128 + 500 * soft + 30 * fine, 0, 255).astype(np.uint8)


@pytest.fixture
def pristine() -> Pristine:
    reach = np.arange(-3, 4)
    row = np.exp(-(reach**2) / (2 * (7 / 6) ** 2))
    window = np.outer(row, row) / row.sum() ** 2
    rows = np.concatenate([naturalness.features(photo(seed), window) for seed in range(8)])
    return Pristine(rows.mean(axis=0), np.cov(rows, rowvar=False), window)


@pytest.mark.parametrize("shape", [0.8, 1.3, 2.0, 3.5])
def test_a_generalised_gaussian_is_recognised(shape: float) -> None:
    values = stats.gennorm.rvs(shape, scale=0.7, size=400_000, random_state=1)
    found, left, right = naturalness.fit_gaussian(values)
    assert found == pytest.approx(shape, rel=0.02)
    assert (left, right) == (pytest.approx(0.7, rel=0.03), pytest.approx(0.7, rel=0.03))


def test_the_sides_of_an_uneven_one_have_their_own_widths() -> None:
    values = np.abs(stats.gennorm.rvs(2.0, scale=1.0, size=400_000, random_state=2))
    # Of the asymmetric kind, each side holds as much of the whole as it is wide.
    values[: len(values) // 3] *= -0.5
    values[len(values) // 3 :] *= 1.0
    shape, left, right = naturalness.fit_gaussian(values)
    assert shape == pytest.approx(2, rel=0.02)
    assert left / right == pytest.approx(0.5, rel=0.01)


def test_there_are_18_numbers_a_scale_for_every_whole_block(pristine: Pristine) -> None:
    assert naturalness.features(photo(1)[:200, :290], pristine.window).shape == (2 * 3, 36)
    grey = photo(1)[..., :1]
    assert naturalness.features(grey, pristine.window).shape == (9, 36)


def test_the_distance_is_mahalanobis_between_both_gaussians(pristine: Pristine) -> None:
    rows = naturalness.features(photo(20), pristine.window)
    apart = rows.mean(axis=0) - pristine.mean
    middle = linalg.pinv((np.cov(rows, rowvar=False) + pristine.covariance) / 2)
    assert naturalness.niqe(photo(20), pristine) == pytest.approx(np.sqrt(apart @ middle @ apart), rel=1e-6)


def test_noise_and_blur_are_less_natural(pristine: Pristine) -> None:
    clean = photo(30)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(clean, (0, 0), 3)
    own = naturalness.niqe(clean, pristine)
    assert own < naturalness.niqe(noisy, pristine)
    assert own < naturalness.niqe(soft, pristine)


@pytest.mark.parametrize("picture", [photo(1)[:95, :95], np.full((200, 200, 3), 90, np.uint8)], ids=["small", "flat"])
def test_what_has_no_blocks_to_look_at_is_refused(picture: np.ndarray, pristine: Pristine) -> None:
    with pytest.raises(ValueError, match="96 x 96"):
        naturalness.niqe(picture, pristine)
