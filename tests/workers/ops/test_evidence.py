"""What neighbours say, against what is known."""

import numpy as np
import pytest

from workers.ops import evidence


def noisy(level: float, sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level + sigma * rng.standard_normal((96, 128))).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_noise_is_measured_in_time_at_each_level(sigma: float) -> None:
    plane, other = (np.hstack([noisy(0.2, sigma, seed), noisy(0.8, 2 * sigma, seed + 9)]) for seed in (1, 2))
    sigmas = evidence.noise_by_level(plane, [other])
    got = evidence.noise_plane(sigmas, np.array([[0.2, 0.8]], np.float32))[0]
    assert got == pytest.approx([sigma, 2 * sigma], rel=0.15)


def test_noise_has_a_floor_and_planes_without_any_have_it() -> None:
    flat = np.full((20, 20), 0.5, np.float32)
    assert evidence.noise_by_level(flat, [flat]) == pytest.approx(0.012)


def test_slow_differences_of_level_are_taken_out_and_specks_are_not() -> None:
    like = noisy(0.4, 0.01, 0)
    plane = like + 0.05
    plane[40:44, 60:64] += 0.4
    matched = evidence.match_exposure(plane, like)
    assert float(np.median(matched - like)) == pytest.approx(0, abs=0.004)
    assert float((matched - like)[40:44, 60:64].mean()) == pytest.approx(0.4, abs=0.02)


def test_the_contrast_of_another_exposure_is_matched() -> None:
    like = np.repeat(np.linspace(0.2, 0.8, 128, dtype=np.float32)[None], 96, axis=0)
    assert np.abs(evidence.match_exposure(like * 1.1 - 0.02, like) - like).max() < 0.004
    assert np.abs(evidence.match_exposure(like + 0.3, like) - like).max() < 0.004


def test_where_motion_leaves_the_picture_the_frame_itself_is_taken() -> None:
    own, other = noisy(0.3, 0.01, 0)[None], noisy(0.3, 0.01, 1)[None]
    there = np.zeros((96, 128, 2), np.float32)
    there[..., 0] = -4
    fetched = evidence.fetch(other, own, there)
    assert np.abs(fetched[0, :, :3] - own[0, :, :3]).max() < 0.01
    assert np.abs(fetched[0, :, 4:] - other[0, :, :-4]).max() < 0.01


def test_what_the_frame_alone_has_stands_out_and_what_neighbours_are_at_odds_about_does_not() -> None:
    planes = [noisy(0.5, 0.03, seed) for seed in range(5)]
    planes[0][20:26, 20:26] += 0.4
    for number, each in enumerate(planes):
        each[60:80, 60:90] += 0.15 * number
    said = evidence.weigh(planes[0], planes[1:])
    assert said.fine[20:26, 20:26].min() > 6
    assert np.abs(said.fine[62:78, 62:88]).mean() < 1
    quiet = said.fine[:, 100:]
    assert evidence.robust_sigma(quiet) == pytest.approx(1, abs=0.3)


def test_the_median_of_an_even_number_lies_between_the_middle_two() -> None:
    planes = [np.full((2, 2), value, np.float32) for value in (0.1, 0.9, 0.3, 0.5)]
    median, spread = evidence.median_and_spread(planes)
    assert median == pytest.approx(0.4)
    assert spread == pytest.approx(0.8)


@pytest.mark.parametrize("size", [(96, 128), (95, 127)])
def test_noise_of_a_level_is_the_median_deviation_of_the_pixels_that_have_it(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    plane = rng.uniform(0, 0.99, size).astype(np.float32)
    other = plane + rng.normal(0, 0.05, size).astype(np.float32)
    level, difference = (plane + other) / 2, plane - other
    inside = difference[(level >= 5 / 12) & (level < 6 / 12)]
    expected = 1.4826 * float(np.median(np.abs(inside - np.median(inside)))) / np.sqrt(2)
    assert evidence.noise_by_level(plane, [other])[5] == np.float32(expected)
