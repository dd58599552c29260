"""PSNR and SSIM by hand and by scikit-image; luma as MATLAB has it; what grey is."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from workers.ops import likeness


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(3)
    one = chance.integers(0, 256, (40, 56, 3), dtype=np.uint8)
    other = np.clip(one + chance.normal(0, 20, one.shape), 0, 255).astype(np.uint8)
    return one, other


def test_psnr_is_that_of_hand_arithmetic_and_of_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    black, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 51, np.uint8)
    assert likeness.psnr(black, grey) == pytest.approx(20 * np.log10(5))
    assert likeness.psnr(*pair) == pytest.approx(peak_signal_noise_ratio(*pair, data_range=255))


def test_equal_pictures_are_at_the_top(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert likeness.psnr(pair[0], pair[0]) == likeness.MOST_DB
    assert likeness.ssim(pair[0], pair[0]) == pytest.approx(1)


def test_ssim_is_that_of_scikit_image_with_wangs_window(pair: tuple[np.ndarray, np.ndarray]) -> None:
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert likeness.ssim(*pair) == pytest.approx(structural_similarity(*pair, channel_axis=2, **wang), abs=1e-9)
    luma = [likeness.luma(each)[4:-4, 4:-4] for each in pair]
    assert likeness.luma_ssim(*pair, crop=4) == pytest.approx(structural_similarity(*luma, **wang), abs=1e-9)


def test_ssim_of_a_picture_smaller_than_its_window_is_a_number(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert -1 <= likeness.ssim(pair[0][:5, :5], pair[1][:5, :5]) <= 1


def test_luma_reaches_from_16_to_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    assert likeness.luma(ends).ravel() == pytest.approx([16, 235, 81.481])


def test_the_crop_leaves_the_edges_out(pair: tuple[np.ndarray, np.ndarray]) -> None:
    framed = pair[0].copy()
    framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = 0
    assert likeness.luma_psnr(pair[0], framed) < 40
    assert likeness.luma_psnr(pair[0], framed, crop=2) == likeness.MOST_DB


def test_grey_keeps_the_lightness_and_grey_itself(pair: tuple[np.ndarray, np.ndarray]) -> None:
    plain = likeness.gray(pair[0])
    assert (plain.max(axis=2) - plain.min(axis=2)).max() <= 1
    assert np.abs(likeness.gray(plain).astype(int) - plain).max() <= 1
