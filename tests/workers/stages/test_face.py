"""Soft faces."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from db.catalog.stages import STAGES
from tests.support import placeholders
from tests.support.damage import clip, film, psnr_db, step
from tests.support.reels import house
from tests.workers.models.parts.test_face_detector import photo
from tests.workers.models.parts.test_spandrel import file_of, restore_former
from workers import stages
from workers.frames import STILL


def portrait() -> torch.Tensor:
    return torch.from_numpy(photo("migrant-mother-1936.jpg").copy())[None]


def blurred(frames: torch.Tensor, sigma: float = 1.5) -> torch.Tensor:
    return torch.from_numpy(np.stack([[cv2.GaussianBlur(p, (0, 0), sigma) for p in f] for f in frames.numpy()]))


def test_a_soft_face_comes_nearer_to_the_sharp_one_and_nothing_else_changes() -> None:
    sharp = portrait()
    soft = blurred(sharp)
    got, mask = stages.repair(step("face", strength=1, contrast=0), clip(soft), 0, 1, STILL)
    assert mask is not None
    inside = mask.expand_as(got)
    assert psnr_db(got[inside], sharp[inside]) > psnr_db(soft[inside], sharp[inside]) + 0.7
    assert torch.equal(got[~inside], soft[~inside])
    assert bool(mask[0, 0, 230, 270])
    assert 0.03 < float(mask.float().mean()) < 0.15


def test_half_the_change_is_kept_unless_asked() -> None:
    soft = blurred(portrait())
    full, usual = (stages.apply(each, clip(soft), 0, 1, STILL) for each in (step("face", strength=1), step("face")))
    torch.testing.assert_close(usual, (soft + full) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("contrast", [0.0, 1.0])
def test_tone_and_color_stay(contrast: float) -> None:
    soft = blurred(portrait()) * torch.tensor([1.0, 0.8, 0.6]).view(1, 3, 1, 1)
    got, mask = stages.repair(step("face", strength=1, contrast=contrast), clip(soft), 0, 1, STILL)
    assert mask is not None
    inside = mask[0, 0]
    change = (got - soft)[0][:, inside].mean(dim=1)
    assert float(change.abs().max()) < 4e-3
    bright = soft[0, 2] > 0.1
    ratio = (got[0, 1] / got[0, 0])[inside & bright]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.8), rtol=0, atol=1e-3)


def test_a_sharp_face_and_a_scene_without_one_are_left_whole() -> None:
    sharp = torch.from_numpy(photo("armstrong-1946.jpg").copy())[None]
    for frames in (sharp, film(1, 120, 160, channels=3)):
        got, mask = stages.repair(step("face"), clip(frames), 0, 1, STILL)
        assert torch.equal(got, frames)
        assert mask is not None
        assert not mask.any()


def test_equal_channels_stay_exactly_equal() -> None:
    soft = blurred(portrait().mean(dim=1, keepdim=True)).expand(-1, 3, -1, -1)
    got = stages.apply(step("face"), clip(soft), 0, 1, STILL)
    assert not torch.equal(got, soft)
    assert torch.equal(got[:, 0], got[:, 1])
    assert torch.equal(got[:, 0], got[:, 2])


def test_small_faces_are_left() -> None:
    soft = blurred(portrait())
    assert torch.equal(stages.apply(step("face", least_px=400), clip(soft), 0, 1, STILL), soft)


def test_each_frame_of_a_reel_is_treated_by_itself() -> None:
    soft = blurred(portrait())
    frames = torch.cat([soft, torch.rand(1, 3, *soft.shape[-2:], generator=torch.Generator().manual_seed(0)), soft])
    got = stages.apply(step("face"), clip(frames), 0, 3, STILL)
    assert torch.equal(got[0], got[2])
    assert torch.equal(got[:1], stages.apply(step("face"), clip(soft), 0, 1, STILL))


def test_a_network_draws_the_face_and_tone_color_and_surroundings_stay(tmp_path: Path) -> None:
    at = house(tmp_path / "home")
    torch.manual_seed(0)
    path = file_of(tmp_path, restore_former()).rename(tmp_path / "faces.pth")
    made = placeholders.pin_file(at.store, path, "spandrel-face:trial")
    chosen = step("face", weights=made.card, strength=1).model_copy(update={"pins": (made,)})
    frames = portrait().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    got, mask = stages.repair(chosen, clip(frames), 0, 1, STILL, at.bench())
    assert mask is not None
    outside = ~mask.expand_as(got)
    assert torch.equal(got[outside], frames[outside])
    assert torch.equal(got[:, :1], got[:, -1:])
    assert float((got - frames).abs().max()) > 0.02
    assert float((got - frames)[mask.expand_as(got)].mean().abs()) < 0.03


def test_a_network_for_something_else_and_a_contrast_beside_a_network_are_refused() -> None:
    with pytest.raises(ValueError, match="restores no faces"):
        STAGES["face"].params.model_validate({"weights": "reelwright-denoise"})
    with pytest.raises(ValueError, match="contrast is of the method without weights"):
        STAGES["face"].params.model_validate({"weights": "spandrel-face:any", "contrast": 0.2})
