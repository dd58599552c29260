"""Specks go, everything else stays bit for bit."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from db.catalog.stages import AS_WRITTEN, STAGES
from tests.support.damage import clip, film, psnr_db, reel, step, with_flicker, with_grain
from workers import stages
from workers.frames import STILL, Clip


def scene(count: int = 9, channels: int = 1, height: int = 96, width: int = 128) -> torch.Tensor:
    return with_grain(film(count, height, width, channels), 0.02)


def with_dust(frames: torch.Tensor, seed: int = 0, each: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames with bright and dark specks of 3 to 8 pixels, and the mask of them ``(T, 1, H, W)``."""
    rng = np.random.default_rng(seed)
    dusty, mask = frames.clone(), torch.zeros(len(frames), 1, *frames.shape[-2:], dtype=torch.bool)
    for number in range(len(frames)):
        for _ in range(each):
            spot = np.zeros(frames.shape[-2:], np.uint8)
            y, x = rng.integers(8, frames.shape[-2] - 8), rng.integers(8, frames.shape[-1] - 8)
            axes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
            cv2.ellipse(spot, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
            marked = torch.from_numpy(spot > 0)
            dusty[number, :, marked] = float(rng.choice([0.0, 1.0]))
            mask[number, 0] |= marked
    return dusty, mask


def share_found(found: torch.Tensor, true: torch.Tensor) -> tuple[float, float]:
    """Precision and recall in pixels."""
    both = float((found & true).sum())
    return both / max(1, int(found.sum())), both / int(true.sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_specks_are_found_and_filled_in_every_frame_the_first_and_last_too(channels: int) -> None:
    clean = scene(channels=channels)
    dusty, mask = with_dust(clean)
    got, found = stages.repair(step("dirt"), clip(dusty), 0, 9, reel(dusty))
    assert found is not None
    precision, recall = share_found(found, mask)
    assert precision > 0.8
    assert recall > 0.8
    for number in range(9):
        # A miss leaves most of the damage; the middle of what is left is a few decibels of grain.
        assert psnr_db(got[number], clean[number]) > psnr_db(dusty[number], clean[number]) + 3


def test_nothing_outside_the_mask_changes_by_a_bit() -> None:
    dusty, _ = with_dust(scene())
    got, found = stages.repair(step("dirt"), clip(dusty), 0, 9, reel(dusty))
    assert found is not None
    assert torch.equal(got[~found], dusty[~found])
    assert not torch.equal(got, dusty)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_clean_film_is_left_alone(channels: int) -> None:
    frames = with_flicker(scene(channels=channels), 0.03)
    _, found = stages.repair(step("dirt"), clip(frames), 0, 9, reel(frames))
    assert found is not None
    assert float(found.float().mean()) < 5e-4


def test_a_moving_ball_is_no_speck() -> None:
    frames = scene(height=96, width=128)
    for number in range(9):
        frames[number, :, 40:52, 10 + 9 * number : 22 + 9 * number] = 0.95
    _, found = stages.repair(step("dirt"), clip(frames), 2, 7, reel(frames, ((0, 9),)))
    assert found is not None
    for number in range(2, 7):
        ball = found[number - 2, 0, 40:52, 10 + 9 * number : 22 + 9 * number]
        assert float(ball.float().mean()) < 0.2


def test_damage_in_one_dye_layer_is_found_too() -> None:
    frames = scene(channels=3)
    hurt = frames.clone()
    hurt[4, 2, 30:36, 50:56] = 0.98
    _, found = stages.repair(step("dirt"), clip(hurt), 4, 5, reel(hurt, ((0, 9),)))
    assert found is not None
    assert float(found[0, 0, 30:36, 50:56].float().mean()) > 0.5


def test_a_still_and_a_shot_of_one_frame_come_back_as_they_are() -> None:
    dusty, _ = with_dust(scene())
    got, found = stages.repair(step("dirt"), clip(dusty[:1]), 0, 1, STILL)
    assert found is not None
    assert not found.any()
    assert torch.equal(got, dusty[:1])
    _, found = stages.repair(step("dirt"), clip(dusty), 4, 5, reel(dusty, ((0, 4), (4, 5), (5, 9))))
    assert found is not None
    assert not found.any()


def test_a_frame_that_stands_in_for_another_says_nothing() -> None:
    dusty, mask = with_dust(scene(), each=6)
    whole = reel(dusty, ((0, 9),))
    # Frame 5 shows frame 4 again: what is dirt there is in two frames, and still one frame's dirt.
    shown = Clip(torch.cat([dusty[:5], dusty[4:5], dusty[6:]]), 0, (0, 1, 2, 3, 4, 4, 6, 7, 8))
    _, found = stages.repair(step("dirt"), shown, 4, 6, whole)
    assert found is not None
    for each in found:
        assert share_found(each, mask[4])[1] > 0.7


def test_a_repeated_frame_says_nothing_even_where_nobody_says_that_it_is_one() -> None:
    dusty, mask = with_dust(scene(), each=6)
    repeated = torch.cat([dusty[:5], dusty[4:5], dusty[5:8]])
    _, found = stages.repair(step("dirt"), clip(repeated), 4, 6, reel(repeated, ((0, 9),)))
    assert found is not None
    for each in found:
        assert share_found(each, mask[4])[1] > 0.7


@pytest.mark.parametrize(("polarity", "level"), [("bright", 1.0), ("dark", 0.0)])
def test_one_polarity_can_be_left_alone(polarity: str, level: float) -> None:
    frames = scene()
    frames[4, :, 30:34, 30:34], frames[4, :, 60:64, 80:84] = 1.0, 0.0
    _, found = stages.repair(step("dirt", polarity=polarity), clip(frames), 4, 5, reel(frames, ((0, 9),)))
    assert found is not None
    places = {1.0: (slice(30, 34), slice(30, 34)), 0.0: (slice(60, 64), slice(80, 84))}
    for value, (rows, columns) in places.items():
        assert bool(found[0, 0, rows, columns].any()) == (value == level)


@pytest.mark.parametrize("kind", ["given", "both"])
def test_a_given_mask_is_filled(kind: str) -> None:
    clean = scene()
    dusty, mask = with_dust(clean)
    mask[4, 0, 10:20, 10:20] = True
    dusty[4, :, 10:20, 10:20] = 0.5
    window = replace(clip(dusty), mask=mask)
    got, found = stages.repair(step("dirt", mask=kind), window, 4, 5, reel(dusty, ((0, 9),)))
    assert found is not None
    assert bool(found[0][mask[4]].all())
    assert psnr_db(got[0][:, mask[4, 0]], clean[4][:, mask[4, 0]]) > 18


def test_a_given_mask_is_filled_in_a_still_from_what_lies_around() -> None:
    clean = film(1, 64, 96)
    mask = torch.zeros(1, 1, 64, 96, dtype=torch.bool)
    mask[..., 20:24, 30:34] = True
    hurt = clean.masked_fill(mask, 1.0)
    got, found = stages.repair(step("dirt", mask="given"), replace(clip(hurt), mask=mask), 0, 1, STILL)
    assert found is not None
    assert torch.equal(found[~mask], mask[~mask])
    assert psnr_db(got[mask], clean[mask]) > psnr_db(hurt[mask], clean[mask]) + 8


def test_what_looks_for_nothing_takes_no_parameters_of_the_search() -> None:
    with pytest.raises(ValueError, match="mask given does not use sensitivity"):
        STAGES["dirt"].params.model_validate({"mask": "given", "sensitivity": 1.5}, context=AS_WRITTEN)


def test_remembering_from_one_window_to_the_next_changes_no_bit() -> None:
    dusty, _ = with_dust(scene())
    whole = reel(dusty, ((0, 9),))
    expected = stages.apply(step("dirt"), clip(dusty), 0, 9, whole)
    source = clip(dusty)
    for number in range(9):
        source.memo.forget_before(max(0, number - 4))
        window = source.part(max(0, number - 4), min(9, number + 5))
        assert torch.equal(stages.apply(step("dirt"), window, number, number + 1, whole)[0], expected[number])


def test_what_no_neighbour_shows_can_stay() -> None:
    dusty, mask = with_dust(scene())
    whole = reel(dusty, ((0, 9),))
    _, always = stages.repair(step("dirt"), clip(dusty), 4, 5, whole)
    got, found = stages.repair(step("dirt", fill="neighbours"), clip(dusty), 4, 5, whole)
    assert always is not None
    assert found is not None
    assert share_found(found[0], mask[4])[1] > 0.6
    assert not (found & ~always).any()
    assert torch.equal(got[~found], dusty[4:5][~found])


def test_what_a_mask_marks_is_filled_though_no_neighbour_shows_it() -> None:
    clean = film(1, 64, 96)
    mask = torch.zeros(1, 1, 64, 96, dtype=torch.bool)
    mask[..., 20:24, 30:34] = True
    window = replace(clip(clean.masked_fill(mask, 1.0)), mask=mask)
    _, found = stages.repair(step("dirt", mask="given", fill="neighbours"), window, 0, 1, STILL)
    assert found is not None
    assert bool(found[mask].all())
