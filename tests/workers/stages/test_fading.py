"""Dyes brought back."""

import numpy as np
import pytest
import torch

from tests.support.damage import clip, film, reel, step
from tests.workers.ops.test_dye_density import faded
from tests.workers.profiles.test_dye import scene
from workers import stages
from workers.frames import STILL


def pan(count: int = 6) -> torch.Tensor:
    wide = scene(width=160)
    return torch.from_numpy(np.stack([wide[..., 4 * n : 4 * n + 128] for n in range(count)]))


def pink(frames: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(faded(f.numpy(), (0.5, 0.95, 0.75), (0.02, 0.04, 0.12))) for f in frames])


def error(got: torch.Tensor, truth: torch.Tensor) -> float:
    return float((got - truth).abs().mean())


def test_a_faded_reel_gets_its_colors_back() -> None:
    truth = pan()
    lost = pink(truth)
    got = stages.apply(step("fading"), clip(lost), 0, 6, reel(lost, kinds=("cuts", "dye")))
    assert error(got, truth) < error(lost, truth) / 2.5


def test_a_still_is_restored_by_itself() -> None:
    truth = pan(1)
    lost = pink(truth)
    got = stages.apply(step("fading"), clip(lost), 0, 1, STILL)
    assert error(got, truth) < error(lost, truth) / 2.5


def test_all_frames_of_a_shot_are_treated_alike() -> None:
    lost = pink(pan())
    lost[:, :, :8] = 0.6  # the same pixels in all frames
    got = stages.apply(step("fading"), clip(lost), 0, 6, reel(lost, kinds=("cuts", "dye")))
    assert torch.equal(got[:, :, :8], got[:1, :, :8].expand(6, -1, -1, -1))


@pytest.mark.parametrize("amount", [None, 1.0])
@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (0.9, 0.75, 0.5)])
def test_grey_and_toned_reels_come_back_as_they_were(amount: float | None, tone: tuple[float, float, float]) -> None:
    frames = film(4) * torch.tensor(tone).view(1, 3, 1, 1)
    got = stages.apply(step("fading", amount=amount), clip(frames), 0, 4, reel(frames, kinds=("cuts", "dye")))
    assert torch.equal(got, frames)


def test_what_shows_no_fading_hardly_changes() -> None:
    frames = pan()
    frames[:, :, 20:24, 20:24] = 0.05
    frames[:, :, 60:64, 20:24] = 1
    got = stages.apply(step("fading"), clip(frames), 0, 6, reel(frames, kinds=("cuts", "dye")))
    assert error(got, frames) < 0.01
