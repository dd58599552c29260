"""Blurred reels become sharper, sharp ones stay as they are."""

from fractions import Fraction

import cv2
import numpy as np
import torch

from tests.support.damage import clip, film, psnr_db, reel, step, with_grain
from workers import stages
from workers.frames import Reel


def sharp_film(count: int = 4, channels: int = 1) -> torch.Tensor:
    """Discs with sharp edges that move, ``(count, channels, 192, 240)``."""
    rng = np.random.default_rng(3)
    discs = [(rng.uniform(0, 960, 2), rng.uniform(20, 90), rng.uniform(0.15, 0.85, channels)) for _ in range(90)]
    frames = np.empty((count, channels, 192, 240), np.float32)
    for number in range(count):
        for channel in range(channels):
            large = np.full((768, 960), 0.5, np.float32)
            for (x, y), radius, levels in discs:
                cv2.circle(large, (int(x + 6 * number), int(y)), int(radius), float(levels[channel]), -1)
            frames[number, channel] = cv2.resize(large, (240, 192), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(frames)


def softened(frames: torch.Tensor, sigma: float) -> torch.Tensor:
    pictures = [[cv2.GaussianBlur(plane, (0, 0), sigma) for plane in frame] for frame in frames.numpy()]
    return with_grain(torch.from_numpy(np.array(pictures)), 1 / 255)


def deblurred(frames: torch.Tensor, **params: object) -> torch.Tensor:
    count = len(frames)
    context = reel(frames, ((0, count),), kinds=("sharpness",))
    return stages.apply(step("deblur", **params), clip(frames), 0, count, context)


def test_a_soft_film_gains_with_known_and_with_measured_blur() -> None:
    clean = sharp_film()
    soft = softened(clean, 1.3)
    assert psnr_db(deblurred(soft, sigma=1.3), clean) > psnr_db(soft, clean) + 3
    assert psnr_db(deblurred(soft), clean) > psnr_db(soft, clean) + 1.4


def test_in_colour_edges_gain_too() -> None:
    clean = sharp_film(1, channels=3)
    soft = softened(clean, 1.3)
    assert psnr_db(deblurred(soft, sigma=1.3), clean) > psnr_db(soft, clean) + 0.5


def test_a_sharp_film_comes_back_bit_for_bit() -> None:
    clean = with_grain(sharp_film(), 1 / 255)
    assert torch.equal(deblurred(clean), clean)
    assert torch.equal(deblurred(clean, sigma=0), clean)


def test_a_film_that_is_mostly_grain_is_left_alone() -> None:
    coarse = with_grain(softened(sharp_film(), 1.5), 0.08)
    assert torch.equal(deblurred(coarse, sigma=1.5), coarse)


def test_of_an_unknown_reel_nothing_is_guessed() -> None:
    frames = softened(film(2), 2)
    assert torch.equal(stages.apply(step("deblur"), clip(frames), 0, 2, Reel(2, Fraction(18), ((0, 2),))), frames)
