"""Noise goes, picture stays."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.support.damage import clip, film, psnr_db, reel, step, with_flicker, with_grain
from workers import stages
from workers.frames import STILL
from workers.ops import noise


def still(frames: torch.Tensor, **params: object) -> torch.Tensor:
    return stages.apply(step("denoise", method="spatial", **params), clip(frames[:1]), 0, 1, STILL)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [15 / 255, 25 / 255])
@pytest.mark.parametrize("known", [True, False])
def test_a_noisy_photo_gains_clear_decibels(channels: int, sigma: float, known: bool) -> None:
    clean = film(1, 96, 128, channels)
    noisy = with_grain(clean, sigma)
    got = still(noisy, sigma=sigma if known else None)
    assert psnr_db(got, clean) > psnr_db(noisy, clean) + 4


def soft_grain(height: int, width: int, sigma: float, blur_px: float, seed: int = 0) -> torch.Tensor:
    """Grain of ``sigma`` whose neighbouring pixels are alike."""
    white = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), blur_px)
    return torch.from_numpy(soft / soft.std() * sigma)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("blur_px", [0.6, 1.0, 1.5])
def test_grain_that_a_scan_has_blurred_is_seen_and_taken_out(channels: int, blur_px: float) -> None:
    clean = 0.2 + 0.6 * functional.interpolate(film(1, 24, 32, channels), scale_factor=16, mode="bicubic").clamp(0, 1)
    noisy = clean + soft_grain(384, 512, 10 / 255, blur_px)
    assert psnr_db(still(noisy), clean) > psnr_db(noisy, clean) + 2.5


def test_texture_is_not_taken_for_blurred_grain() -> None:
    clean = torch.full((1, 1, 384, 512), 0.5)
    # Leaves or gravel: as fine as grain, but here strong and there weak.
    clean += soft_grain(384, 512, 0.06, 1.0) * torch.linspace(0.1, 1, 512)
    assert psnr_db(still(clean), clean) > 45


@pytest.mark.parametrize("channels", [1, 3])
def test_a_clean_photo_is_hardly_touched(channels: int) -> None:
    clean = film(1, 96, 128, channels)
    assert psnr_db(still(clean), clean) > 50


def test_depth_beyond_eight_bits_survives() -> None:
    ramp = torch.linspace(0.2, 0.8, 4096).view(1, 1, 32, 128) * torch.ones(1)
    got = still(ramp, sigma=0.002)
    assert len(got.unique()) > 2000


def test_sigma_nothing_changes_nothing() -> None:
    noisy = with_grain(film(1, channels=3), 0.1)
    assert torch.equal(still(noisy, sigma=0), noisy)


@pytest.mark.parametrize("channels", [1, 3])
def test_averaging_along_motion_beats_filtering_in_space(channels: int) -> None:
    clean = film(7, 96, 128, channels)
    noisy = with_grain(clean, 20 / 255)
    whole = reel(noisy, ((0, 7),))
    spatial, temporal = (
        stages.apply(step("denoise", method=method), clip(noisy), 2, 5, whole) for method in ("spatial", "temporal")
    )
    assert psnr_db(temporal, clean[2:5]) > psnr_db(spatial, clean[2:5]) + 1
    assert psnr_db(spatial, clean[2:5]) > psnr_db(noisy, clean) + 3


def test_neighbours_of_another_exposure_are_averaged_too_and_leave_the_frame_its_own() -> None:
    clean = with_flicker(film(7, 96, 128), 0.1)
    noisy = with_grain(clean, 15 / 255)
    got = stages.apply(step("denoise", method="temporal"), clip(noisy), 2, 5, reel(noisy, ((0, 7),)))
    assert psnr_db(got, clean[2:5]) > psnr_db(noisy, clean) + 8
    means = got.mean((1, 2, 3)) - clean[2:5].mean((1, 2, 3))
    assert float(means.abs().max()) < 0.003


def test_where_nothing_aligns_the_spatial_filter_takes_over() -> None:
    clean = film(1, 96, 128)
    noisy = with_grain(clean, 20 / 255)
    strangers = torch.cat(
        [with_grain(torch.rand(1, 1, 96, 128), 0.1), noisy, with_grain(torch.rand(1, 1, 96, 128), 0.1)]
    )
    whole = reel(strangers, ((0, 3),))
    got = stages.apply(step("denoise", method="temporal", radius=1, sigma=20 / 255), clip(strangers), 1, 2, whole)
    assert psnr_db(got, clean) > psnr_db(still(noisy, sigma=20 / 255), clean) - 0.5


@pytest.mark.parametrize("sigma", [5 / 255, 15 / 255, 40 / 255])
def test_noise_is_measured_where_the_picture_is_flat(sigma: float) -> None:
    picture = torch.full((1, 1, 128, 128), 0.4)
    picture[..., 64:] = film(1, 128, 64)[0]
    picture[..., :16, :] = 0  # a black border has no noise and must not be asked
    noisy = with_grain(picture, sigma)
    noisy[..., :16, :] = 0
    assert noise.flat_sigma(noisy[0, 0].numpy()) == pytest.approx(sigma, rel=0.12)


def test_blurred_grain_that_single_pixels_hide_is_found_in_time() -> None:
    clean = film(5, 96, 128)
    grain = functional.avg_pool2d(with_grain(torch.zeros(5, 1, 98, 130), 0.12), 3, stride=1)
    noisy = clean + grain
    got = stages.apply(step("denoise", method="temporal"), clip(noisy), 2, 3, reel(noisy, ((0, 5),)))
    assert psnr_db(got, clean[2:3]) > psnr_db(noisy, clean) + 2
    assert psnr_db(still(noisy[2:3]), clean[2:3]) < psnr_db(got, clean[2:3]) - 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_a_single_row_or_column_can_be_followed(size: tuple[int, int]) -> None:
    noisy = with_grain(film(3, *size), 0.1)
    got = stages.apply(step("denoise", sigma=0.1), clip(noisy), 0, 3, reel(noisy, ((0, 3),)))
    assert got.shape == noisy.shape
