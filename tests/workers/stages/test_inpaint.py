"""Holes that the manifest's mask marks."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from db.catalog.stages import STAGES
from tests.support import placeholders
from tests.support.damage import clip, film, psnr_db, reel, step, with_flicker, with_grain
from tests.support.reels import house
from tests.workers.models.parts.test_spandrel import NETWORKS, file_of
from workers import stages
from workers.frames import STILL, Clip


def masked(frames: torch.Tensor, mask: torch.Tensor, start: int = 0) -> Clip:
    return dataclasses.replace(clip(frames, start), mask=mask)


def holes(frames: torch.Tensor, top: int = 20, left: int = 30, height: int = 14, width: int = 14) -> torch.Tensor:
    """The same box in every other frame, moved in time so that neighbours show it."""
    mask = torch.zeros((len(frames), 1, *frames.shape[-2:]), dtype=torch.bool)
    mask[::2, :, top : top + height, left : left + width] = True
    return mask


def damaged(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, torch.ones(()), frames)


def inside_psnr_db(got: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> float:
    where = mask.expand_as(truth)
    return psnr_db(got[where], truth[where])


def test_without_a_mask_frames_are_as_they_were_and_nothing_is_marked() -> None:
    frames = with_grain(film(3), 0.03)
    got, mask = stages.repair(step("inpaint"), clip(frames), 0, 3, reel(frames, kinds=("cuts",)))
    assert torch.equal(got, frames)
    assert mask is not None
    assert not mask.any()


@pytest.mark.parametrize("method", ["auto", "navier_stokes", "patches"])
def test_nothing_outside_the_mask_changes_and_the_mask_comes_out_widened(method: str) -> None:
    truth = film(1, channels=3)
    mask = holes(truth)
    got, marked = stages.repair(
        step("inpaint", method=method, dilate_px=2), masked(damaged(truth, mask), mask), 0, 1, STILL
    )
    assert marked is not None
    assert marked[mask].all()
    assert 17 * 17 < int(marked.sum()) < 18 * 18  # corners are round
    assert torch.equal(got[~marked.expand_as(got)], truth[~marked.expand_as(got)])
    assert inside_psnr_db(got, truth, mask) > inside_psnr_db(damaged(truth, mask), truth, mask) + 6


def test_a_neighbour_that_shows_the_place_is_believed() -> None:
    truth = film(6)
    mask = holes(truth)
    shown = masked(damaged(truth, mask), mask)
    whole = reel(truth, kinds=("cuts",))
    got = stages.apply(step("inpaint"), shown, 0, 6, whole)
    alone = stages.apply(step("inpaint", radius=0), shown, 0, 6, whole)
    assert inside_psnr_db(got, truth, mask) > inside_psnr_db(alone, truth, mask) + 3
    assert inside_psnr_db(got, truth, mask) > 28


def test_flicker_is_not_carried_in_with_a_neighbour() -> None:
    truth = with_flicker(film(6), 0.04)
    mask = holes(truth)
    got = stages.apply(step("inpaint"), masked(damaged(truth, mask), mask), 0, 6, reel(truth, kinds=("cuts",)))
    assert inside_psnr_db(got, truth, mask) > 26


def test_what_a_neighbour_has_lost_too_is_made_up() -> None:
    truth = film(4)
    mask = holes(truth)
    mask[:] = mask[0]
    got = stages.apply(
        step("inpaint", radius=1), masked(damaged(truth, mask), mask), 0, 4, reel(truth, kinds=("cuts",))
    )
    assert float(got[mask].max()) < 0.95


def test_a_stand_in_is_not_asked() -> None:
    truth = film(3)
    mask = holes(truth)
    mask[2] = False
    pixels = damaged(truth, mask)
    pixels[1] = pixels[2] = 0.3
    shown = Clip(pixels, 0, (0, 0, 0), mask)
    got = stages.apply(step("inpaint"), shown, 0, 1, reel(truth, kinds=("cuts",)))
    alone = stages.apply(step("inpaint", radius=0), shown, 0, 1, reel(truth, kinds=("cuts",)))
    assert torch.equal(got, alone)


@pytest.mark.parametrize("channels", [1, 3])
def test_bits_do_not_depend_on_the_window(channels: int) -> None:
    frames = with_grain(film(9, channels=channels), 0.04)
    mask = holes(frames)
    mask[3] = mask[4]
    whole, chosen = reel(frames, ((0, 5), (5, 9)), kinds=("cuts",)), step("inpaint")
    expected = stages.apply(chosen, masked(frames, mask), 0, 9, whole)
    for start, stop in ((0, 1), (3, 5), (4, 6), (6, 9)):
        low, high = max(0, start - 2), min(9, stop + 2)
        window = masked(frames[low:high].clone(), mask[low:high], low)
        assert torch.equal(stages.apply(chosen, window, start, stop, whole), expected[start:stop])


def test_strength_acts_inside_the_mask() -> None:
    truth = film(1)
    mask = holes(truth)
    shown = masked(damaged(truth, mask), mask)
    full, half = (stages.apply(step("inpaint", strength=s), shown, 0, 1, STILL) for s in (1, 0.5))
    torch.testing.assert_close(half, (shown.frames + full) / 2, rtol=0, atol=1e-6)


def test_equal_channels_stay_exactly_equal() -> None:
    frames = with_grain(film(1), 0.04).expand(-1, 3, -1, -1)
    mask = holes(frames)
    got = stages.apply(step("inpaint"), masked(damaged(frames, mask), mask), 0, 1, STILL)
    assert torch.equal(got[:, 0], got[:, 1])
    assert torch.equal(got[:, 0], got[:, 2])


def test_parts_that_are_too_thick_are_left_and_not_marked() -> None:
    truth = film(1)
    mask = holes(truth)
    mask[:, :, 50:53] = True
    got, marked = stages.repair(step("inpaint", largest_px=8, dilate_px=0), masked(truth, mask), 0, 1, STILL)
    assert marked is not None
    assert int(marked.sum()) == 3 * 96
    assert torch.equal(got[:, :, :45], truth[:, :, :45])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 9), (17, 31)])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_any_size_and_any_mask_come_through(size: tuple[int, int], share: float) -> None:
    frames = with_grain(film(2, *size, channels=3), 0.1)
    mask = torch.from_numpy(np.random.default_rng(0).random((2, 1, *size)) <= share)
    got, marked = stages.repair(step("inpaint"), masked(frames, mask), 0, 2, reel(frames, kinds=("cuts",)))
    assert marked is not None
    assert torch.isfinite(got).all()
    assert share < 1 or torch.equal(got, frames)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_fills_thick_parts_and_nothing_else(channels: int, tmp_path: Path) -> None:
    at = house(tmp_path / "home")
    torch.manual_seed(0)
    path = file_of(tmp_path, NETWORKS["lama"][1]()).rename(tmp_path / "holes.pth")
    made = placeholders.pin_file(at.store, path, "spandrel-inpaint:trial")
    chosen = step("inpaint", method="network", weights=made.card).model_copy(update={"pins": (made,)})
    truth = film(1).expand(-1, channels, -1, -1)
    mask = holes(truth)
    mask[:, :, 50:52] = True
    shown = masked(damaged(truth, mask), mask)
    got, marked = stages.repair(chosen, shown, 0, 1, STILL, at.bench())
    other = stages.apply(step("inpaint"), shown, 0, 1, STILL)
    assert marked is not None
    assert torch.equal(got[~marked.expand_as(got)], shown.frames[~marked.expand_as(got)])
    assert torch.equal(got[:, :, 48:], other[:, :, 48:])
    assert not torch.equal(got[:, :, :40], other[:, :, :40])
    assert torch.isfinite(got).all()


def test_method_network_and_weights_go_together() -> None:
    for given in ({"method": "network"}, {"weights": "spandrel-inpaint:any"}):
        with pytest.raises(ValueError, match="go together"):
            STAGES["inpaint"].params.model_validate(given)
    with pytest.raises(ValueError, match="fills no holes"):
        STAGES["inpaint"].params.model_validate({"method": "network", "weights": "reelwright-denoise"})
