"""Where shots begin."""

import numpy as np
import pytest
import torch

from tests.support.damage import faded, film, reel, with_flicker, with_grain
from workers.profiles import cuts


def shots(frames: torch.Tensor) -> tuple[tuple[int, int], ...]:
    return reel(frames, kinds=("cuts",)).shots


def scene(count: int, seed: int, moving_px: int = 1) -> torch.Tensor:
    """A pan over a scene of its own, blotchy and with detail: smooth shading alone is alike everywhere."""
    rng = np.random.default_rng(seed)
    blotches, detail = (
        torch.nn.functional.interpolate(
            torch.from_numpy(rng.random((1, 1, rows, columns)).astype(np.float32)), size=(48, 160), mode="bicubic"
        )
        for rows, columns in ((6, 20), (20, 66))
    )
    wide = (0.6 * blotches + 0.4 * detail).clamp(0, 1)
    return torch.cat([wide[..., n * moving_px : n * moving_px + 64] for n in range(count)])


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


def test_frames_that_do_not_belong_are_named() -> None:
    frames = scene(16, 1)
    frames[7] = 0
    frames[11] = scene(1, 9)[0]
    odd = reel(frames, kinds=("cuts",)).profile["odd"]
    assert np.flatnonzero(odd).tolist() == [7, 11]


@pytest.mark.parametrize("flash", [8, 11])
def test_a_flash_near_a_cut_does_not_hide_it(flash: int) -> None:
    frames = torch.cat([scene(10, 1), scene(10, 2)])
    frames[flash] = 0
    profile = reel(frames, kinds=("cuts",)).profile
    assert np.flatnonzero(profile["cut"]).tolist() == [0, 10]
    assert np.flatnonzero(profile["odd"]).tolist() == [flash]


def test_two_odd_frames_in_a_row_part_no_shot() -> None:
    frames = scene(20, 1, moving_px=2)
    frames[9:11] = 0
    profile = reel(frames, kinds=("cuts",)).profile
    assert np.flatnonzero(profile["cut"]).tolist() == [0]
    assert np.flatnonzero(profile["odd"]).tolist() == [9, 10]


def test_the_edge_of_the_gate_that_all_shots_share_hides_no_cut() -> None:
    frames = torch.nn.functional.interpolate(torch.cat([scene(8, 1), scene(8, 2)]), scale_factor=4, mode="bilinear")
    frames[..., :7, :] = frames[..., -7:, :] = 0
    frames[..., :10] = frames[..., -10:] = 0
    assert shots(frames) == ((0, 8), (8, 16))


def test_fast_motion_is_no_cut() -> None:
    assert shots(scene(16, 1, moving_px=6)) == ((0, 16),)


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_reels_are_one_shot(count: int) -> None:
    assert shots(film(count)) == ((0, count),)


def test_a_row_is_the_same_whether_the_frame_before_was_just_measured_or_not() -> None:
    first, second, third = (frame.numpy() for frame in with_grain(scene(3, 4, moving_px=9), 0.1))
    alone = [cuts.measure(picture, before.copy()) for before, picture in ((first, second), (second, third))]
    cuts.measure(first, None)
    in_turn = [cuts.measure(picture, before) for before, picture in ((first, second), (second, third))]
    assert [row["score"] for row in in_turn] == [row["score"] for row in alone]
    assert alone[0]["score"] != alone[1]["score"]
    assert cuts.measure(third, first)["score"] == cuts.measure(third, first.copy())["score"]
