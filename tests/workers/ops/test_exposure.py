"""Levels of frames, and where shots begin."""

import numpy as np
import pytest
import torch

from tests.support.damage import faded, film, with_flicker, with_grain
from workers.ops import exposure


def shots(frames: torch.Tensor) -> tuple[tuple[int, int], ...]:
    return exposure.shots(exposure.profile(exposure.measure(frames)))


def scene(count: int, seed: int, moving_px: int = 1) -> torch.Tensor:
    """A pan over a blotchy scene of its own."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 1, 6, 20)).astype(np.float32))
    wide = torch.nn.functional.interpolate(coarse, size=(48, 160), mode="bicubic").clamp(0, 1)
    return torch.cat([wide[..., n * moving_px : n * moving_px + 64] for n in range(count)])


def test_levels_are_percentiles() -> None:
    frames = with_grain(film(2), 0.05).clamp(0, 1)
    levels = exposure.profile(exposure.measure(frames))["levels"]
    expected = np.percentile(frames.flatten(1).numpy(), exposure.PERCENTILES, axis=1).T
    np.testing.assert_allclose(levels, expected, atol=2e-3)


def test_rows_of_segments_joined_equal_those_of_the_whole() -> None:
    frames = with_grain(film(7, channels=3), 0.05)
    parts = [exposure.measure(frames[a:b]) for a, b in ((0, 1), (1, 5), (5, 7))]
    np.testing.assert_array_equal(np.concatenate(parts), exposure.measure(frames))


def test_mean_colour_is_kept_and_grey_has_three_equal_ones() -> None:
    frames = film(1, channels=3)
    colour = exposure.profile(exposure.measure(frames))["colour"]
    np.testing.assert_allclose(colour[0], frames.mean((0, 2, 3)).numpy(), atol=1e-5)
    grey = exposure.profile(exposure.measure(film(1)))["colour"][0]
    assert grey[0] == grey[1] == grey[2]


def test_cuts_are_found_where_they_are() -> None:
    assert shots(torch.cat([scene(8, 1), scene(6, 2), scene(9, 3)])) == ((0, 8), (8, 14), (14, 23))


@pytest.mark.parametrize("damage", [with_flicker, faded, lambda f: with_grain(f, 0.1)])
def test_damage_makes_no_cuts(damage) -> None:  # type: ignore[no-untyped-def]
    assert shots(damage(scene(20, 1))) == ((0, 20),)


def test_cuts_are_found_under_flicker_and_grain() -> None:
    both = with_grain(with_flicker(torch.cat([scene(10, 1), scene(10, 2)])), 0.08)
    assert shots(both) == ((0, 10), (10, 20))


def test_a_flash_or_a_black_frame_is_no_cut() -> None:
    frames = scene(16, 1)
    frames[7] = 0
    frames[11] = scene(1, 9)[0]
    assert shots(frames) == ((0, 16),)


def test_fast_motion_is_no_cut() -> None:
    assert shots(scene(16, 1, moving_px=6)) == ((0, 16),)


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_reels_are_one_shot(count: int) -> None:
    assert shots(film(count)) == ((0, count),)
