"""Pictures between two frames."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.damage import psnr_db
from workers.ops import interpolation

Picture = NDArray[np.float32]


def scene(seed: int = 0, height: int = 128, width: int = 192) -> Picture:
    """A cloudy picture with detail at several scales, ``(H, W)`` of 0..1."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma for sigma in (2, 6, 16)]
    total = sum(layers)
    return np.asarray((total - total.min()) / np.ptp(total), np.float32)


def shifted(picture: Picture, x: float, y: float = 0.0) -> Picture:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def inner_psnr(one: Picture, other: Picture) -> float:
    return psnr_db(torch.from_numpy(one[..., 12:-12, 12:-12]), torch.from_numpy(other[..., 12:-12, 12:-12]))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_pan_goes_on_between_its_frames(share: float, channels: int) -> None:
    base = np.stack([scene(seed) for seed in range(channels)])
    first, second, truth = (np.stack([shifted(p, 6 * s, -2 * s) for p in base]) for s in (0, 1, share))
    got = interpolation.middle(first, second, share)
    assert got.shape == first.shape
    assert got.dtype == np.float32
    blend = (1 - share) * first + share * second
    assert inner_psnr(got, truth) > max(33, inner_psnr(blend, truth) + 6)


def test_a_thing_moves_over_a_still_background() -> None:
    background, thing = scene(1), 1 - 0.5 * scene(2, 40, 40)

    def picture(left: int) -> Picture:
        out = background.copy()
        out[44:84, left : left + 40] = thing
        return out[None]

    got = interpolation.middle(picture(60), picture(68), 0.5)
    assert inner_psnr(got, picture(64)) > inner_psnr((picture(60) + picture(68)) / 2, picture(64)) + 4
    assert np.abs(got - picture(64))[..., :30].max() < 0.01


def test_at_the_ends_the_frames_themselves_come_back() -> None:
    first, second = scene(1)[None], scene(2)[None]
    assert interpolation.middle(first, second, 0) is first
    assert interpolation.middle(first, second, 1) is second


def test_motion_that_was_followed_before_gives_the_same_bits() -> None:
    first = scene(1)[None]
    second = shifted(first[0], 3)[None]
    motions = interpolation.follow(first, second)
    assert np.array_equal(interpolation.middle(first, second, 0.4, motions), interpolation.middle(first, second, 0.4))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (17, 9)])
@pytest.mark.parametrize("value", [-0.1, 0.0, 1.2])
def test_small_and_blank_pictures_stay_as_they_are(size: tuple[int, int], value: float) -> None:
    blank = np.full((3, *size), value, np.float32)
    np.testing.assert_allclose(interpolation.middle(blank, blank, 0.5), blank, atol=1e-6)


def test_equal_channels_stay_exactly_equal() -> None:
    first, second = (np.repeat(scene(seed)[None], 3, axis=0) for seed in (1, 2))
    got = interpolation.middle(first, second, 0.3)
    assert np.array_equal(got[0], got[1])
    assert np.array_equal(got[0], got[2])
