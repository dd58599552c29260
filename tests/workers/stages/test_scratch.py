"""Scratches go, window frames stay."""

from dataclasses import replace

import pytest
import torch

from db.catalog.stages import AS_WRITTEN, STAGES
from tests.support.damage import clip, film, psnr_db, reel, step, with_grain
from workers import stages
from workers.frames import STILL
from workers.stages import scratch

HEIGHT, WIDTH = 160, 128


def scene(count: int = 7, channels: int = 1, pan_px: float = 1.5) -> torch.Tensor:
    return with_grain(film(count, HEIGHT, WIDTH, channels, pan_px), 0.02)


def scratched(frames: torch.Tensor, level: float = 1.0, rows: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
    """A line two pixels wide that weaves by a pixel, in every frame, and its mask ``(T, 1, H, W)``."""
    hurt, mask = frames.clone(), torch.zeros(len(frames), 1, *frames.shape[-2:], dtype=torch.bool)
    for number in range(len(frames)):
        column = 70 + number % 2
        mask[number, 0, rows, column : column + 2] = True
    return torch.where(mask, torch.tensor(level), hurt), mask


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_scratch_down_the_film_goes(channels: int, level: float) -> None:
    clean = scene(channels=channels)
    hurt, mask = scratched(clean, level)
    got, found = stages.repair(step("scratch"), clip(hurt), 0, 7, reel(hurt))
    assert found is not None
    both = float((found & mask).sum())
    assert both / int(found.sum()) > 0.85
    assert both / int(mask.sum()) > 0.9
    inside = mask.expand_as(clean)
    assert psnr_db(got[inside], clean[inside]) > psnr_db(hurt[inside], clean[inside]) + 8
    assert torch.equal(got[~found.expand_as(got)], hurt[~found.expand_as(got)])


def test_a_scratch_in_one_frame_alone_goes_though_it_ends_inside_the_picture() -> None:
    clean = scene()
    hurt, mask = scratched(clean, rows=slice(30, 110))
    hurt = torch.where(torch.arange(7).view(-1, 1, 1, 1) == 3, hurt, clean)
    _, found = stages.repair(step("scratch"), clip(hurt), 3, 4, reel(hurt, ((0, 7),)))
    assert found is not None
    assert float(found[0][mask[3]].float().mean()) > 0.85
    assert int(found.sum()) < 1.3 * int(mask[3].sum())


def test_a_thin_bar_of_the_scene_is_no_scratch() -> None:
    frames = scene(pan_px=0.0)
    frames[..., 20:140, 60:62] = 0.95
    _, found = stages.repair(step("scratch"), clip(frames), 0, 7, reel(frames, ((0, 7),)))
    assert found is not None
    assert not found.any()


@pytest.mark.parametrize("pan_px", [0.0, 2.0])
def test_a_clean_film_is_left_alone(pan_px: float) -> None:
    frames = scene(pan_px=pan_px)
    got, found = stages.repair(step("scratch"), clip(frames), 0, 7, reel(frames, ((0, 7),)))
    assert found is not None
    assert not found.any()
    assert torch.equal(got, frames)


def test_a_still_is_left_alone_unless_a_mask_says_where() -> None:
    clean = film(1, HEIGHT, WIDTH)
    hurt, mask = scratched(clean)
    got, found = stages.repair(step("scratch"), clip(hurt), 0, 1, STILL)
    assert found is not None
    assert not found.any()
    got, found = stages.repair(step("scratch"), replace(clip(hurt), mask=mask), 0, 1, STILL)
    assert found is not None
    assert bool(found[mask].all())
    assert psnr_db(got[mask], clean[mask]) > psnr_db(hurt[mask], clean[mask]) + 10


def test_cracks_of_any_direction_are_proposed_where_it_is_asked() -> None:
    still = torch.full((1, 1, 96, 96), 0.5)
    for each in range(60):
        still[0, 0, 20 + each // 2, 15 + each] = 0.9
        still[0, 0, 20 + each // 2, 16 + each] = 0.9
    still = with_grain(still, 0.01)
    got, found = stages.repair(step("scratch", method="propose"), clip(still), 0, 1, STILL)
    assert found is not None
    assert bool(found[0, 0, 35, 45:47].any())
    assert float(found.float().mean()) < 0.05
    assert float(got.max()) < 0.7


def test_detail_under_a_thin_scratch_can_be_kept() -> None:
    clean = film(7, HEIGHT, WIDTH) + 0.0
    columns = torch.zeros(HEIGHT, WIDTH)
    columns[:, 70:72] = 0.25
    hurt = with_grain(clean, 0.005) + columns
    whole = reel(hurt, ((0, 7),))
    kept, found = stages.repair(step("scratch", keep_detail=True), clip(hurt), 3, 4, whole)
    assert found is not None
    inside = (columns > 0).expand(1, 1, -1, -1)
    assert float(found[inside].float().mean()) > 0.9
    assert psnr_db(kept[inside], clean[3:4][inside]) > psnr_db(hurt[3:4][inside], clean[3:4][inside]) + 8


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"method": "mask", "sensitivity": 2}, "sensitivity"),
        ({"method": "propose", "keep_detail": True}, "keep_detail"),
    ],
)
def test_a_parameter_that_the_method_does_not_use_is_refused(params: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=f"does not use {name}"):
        STAGES["scratch"].params.model_validate(params, context=AS_WRITTEN)


def test_a_scratch_that_lies_in_all_frames_can_stay() -> None:
    clean = scene(pan_px=0.0)
    hurt = clean.clone()
    hurt[..., 70:72] = 1.0
    _, always = stages.repair(step("scratch"), clip(hurt), 3, 4, reel(hurt, ((0, 7),)))
    got, found = stages.repair(step("scratch", fill="neighbours"), clip(hurt), 3, 4, reel(hurt, ((0, 7),)))
    assert always is not None
    assert found is not None
    assert always.any()
    assert not found.any()
    assert torch.equal(got, hurt[3:4])


def test_a_still_loses_what_a_mask_marks_though_nothing_else_may_be_guessed() -> None:
    hurt, mask = scratched(film(1, HEIGHT, WIDTH))
    _, found = stages.repair(step("scratch", fill="neighbours"), replace(clip(hurt), mask=mask), 0, 1, STILL)
    assert found is not None
    assert bool(found[mask].all())


def test_motions_that_are_kept_give_the_same_as_motions_that_are_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurt, _ = scratched(scene())
    around = reel(hurt)
    kept = stages.repair(step("scratch"), clip(hurt), 0, 7, around)
    monkeypatch.setattr(scratch, "_MOTION_BYTES", 0)
    again = stages.repair(step("scratch"), clip(hurt), 0, 7, around)
    assert all(torch.equal(one, other) for one, other in zip(kept, again, strict=True))
    assert not torch.equal(kept[0], hurt)
