"""Blur is measured and taken back."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.damage import psnr_db
from workers.ops import deconvolution

Picture = NDArray[np.float32]


def scene(seed: int = 0, side: int = 256) -> Picture:
    """Things with sharp edges before one another, as a lens that resolves a pixel draws them."""
    rng = np.random.default_rng(seed)
    large = np.full((side * 4, side * 4), 0.5, np.float32)
    for _ in range(120):
        center, axes = rng.integers(0, side * 4, 2), rng.integers(side // 8, side // 2, 2)
        level = float(rng.uniform(0.1, 0.9))
        place, shape = (int(center[0]), int(center[1])), (int(axes[0]), int(axes[1]))
        cv2.ellipse(large, place, shape, float(rng.uniform(0, 180)), 0, 360, level, -1)
    return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)


def blurred(picture: Picture, sigma: float, noise: float = 1 / 255) -> Picture:
    grain = np.random.default_rng(1).standard_normal(picture.shape) * noise
    return (cv2.GaussianBlur(picture, (0, 0), sigma) + grain).astype(np.float32)


def gain_db(got: Picture, before: Picture, truth: Picture) -> float:
    one, other, clean = (torch.from_numpy(each) for each in (got, before, truth))
    return psnr_db(one, clean) - psnr_db(other, clean)


@pytest.mark.parametrize(("sigma", "noise", "least"), [(1.0, 1, 4.0), (1.6, 1, 2.5), (1.6, 3, 2.0)])
def test_known_blur_is_taken_back(sigma: float, noise: float, least: float) -> None:
    soft = blurred(scene(), sigma, noise / 255)
    assert gain_db(deconvolution.sharpen(soft, sigma, noise / 255), soft, scene()) > least


def test_noise_is_not_sharpened() -> None:
    soft = blurred(scene(), 1.2, 8 / 255)
    assert gain_db(deconvolution.sharpen(soft, 1.2, 8 / 255), soft, scene()) > 0
    assert deconvolution.sharpen(soft, 1.2, 12 / 255) is soft


def test_edges_get_no_halos() -> None:
    edge = blurred(np.repeat(np.linspace(0, 1, 64)[None] > 0.5, 64, 0).astype(np.float32), 1.5, 0)
    got = deconvolution.sharpen(edge, 2.1, 0)  # by far too much
    assert got.min() > -0.16
    assert got.max() < 1.16


@pytest.mark.parametrize("sigma", [1.0, 1.6, 2.2])
@pytest.mark.parametrize("noise", [1, 3])
def test_blur_is_measured_and_rather_too_low_than_too_high(sigma: float, noise: float) -> None:
    measured = deconvolution.blur_sigma(blurred(scene(), sigma, noise / 255), noise / 255)
    assert 0.7 * sigma < measured < 1.12 * sigma


def test_a_sharp_picture_is_told_as_one() -> None:
    assert deconvolution.blur_sigma(scene()) < 0.6
    assert deconvolution.blur_sigma(blurred(scene(), 0.3)) < 0.6


def test_pure_noise_and_blank_pictures_have_no_blur() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.1, (96, 96)).astype(np.float32)
    assert deconvolution.blur_sigma(noise, 0.1) < 0.6
    assert deconvolution.blur_sigma(np.full((96, 96), 0.3, np.float32)) == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 40)])
@pytest.mark.parametrize("value", [-0.1, 0.4, 1.2])
def test_blank_pictures_of_any_size_stay_as_they_are(size: tuple[int, int], value: float) -> None:
    blank = np.full(size, value, np.float32)
    assert deconvolution.blur_sigma(blank) == 0
    np.testing.assert_allclose(deconvolution.sharpen(blank, 1.5, 0), blank, atol=1e-5)
