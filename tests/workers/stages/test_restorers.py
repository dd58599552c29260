"""Denoising and enlarging by networks: which, how they are told the noise, and that no bit depends on a cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from db.catalog.stages.detail import DenoiseParams, UpscaleParams
from db.recipe import Pin, Recipe, Step
from tests.support import placeholders
from tests.support.damage import clip, film, psnr_db, reel, step, with_grain
from tests.support.reels import House, house
from workers import stages
from workers.frames import STILL
from workers.models import folded_cnn
from workers.models.checkpoints import registered
from workers.ops import cells


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.fixture
def denoiser(at: House) -> Pin:
    return placeholders.pin(at.store, at.folder, "folded-cnn:trial")


@pytest.fixture
def upscaler(at: House) -> Pin:
    return placeholders.pin(at.store, at.folder, "subpixel-cnn:trial")


def with_pin(made: Pin, stage: str, **params: object) -> Step:
    return step(stage, weights=made.card, **params).model_copy(update={"pins": (made,)})


def after(at: House, made: Step, frames: torch.Tensor) -> torch.Tensor:
    around = reel(frames) if len(frames) > 1 else STILL
    return stages.apply(made, clip(frames), 0, len(frames), around, at.bench())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (96, 128)])
def test_size_and_channels_are_kept_or_enlarged(
    at: House, denoiser: Pin, upscaler: Pin, channels: int, size: tuple[int, int]
) -> None:
    frames = with_grain(film(2, *size), 0.05).expand(-1, channels, -1, -1)
    assert after(at, with_pin(denoiser, "denoise", method="network"), frames).shape == frames.shape
    large = after(at, with_pin(upscaler, "upscale", method="network"), frames)
    assert large.shape == (2, channels, 2 * size[0], 2 * size[1])


@pytest.mark.parametrize("stage", ["denoise", "upscale"])
def test_any_window_gives_the_same_bits(at: House, denoiser: Pin, upscaler: Pin, stage: str) -> None:
    frames = with_grain(film(7), 0.05)
    made = with_pin(denoiser if stage == "denoise" else upscaler, stage, method="network")
    whole, around = after(at, made, frames), reel(frames)
    for start, stop in ((0, 1), (2, 6), (6, 7)):
        part = stages.apply(made, clip(frames[start:stop].clone(), start), start, stop, around, at.bench())
        assert torch.equal(part, whole[start:stop])


def test_auto_is_the_network_on_a_still_and_motion_on_a_reel(at: House, denoiser: Pin) -> None:
    frames = with_grain(film(3, 64, 96), 0.05)
    auto, named = (with_pin(denoiser, "denoise", method=method) for method in ("auto", "network"))
    assert torch.equal(after(at, auto, frames[:1]), after(at, named, frames[:1]))
    assert torch.equal(after(at, auto, frames), after(at, step("denoise", method="temporal"), frames))
    without = step("denoise", weights=None)
    assert without.cards() == ()
    assert torch.equal(after(at, without, frames[:1]), after(at, step("denoise", method="spatial"), frames[:1]))


def test_a_job_of_a_release_without_networks_goes_on_as_it_was(at: House) -> None:
    frames = with_grain(film(1, 64, 96), 0.05)
    params = {name: value for name, value in step("denoise").params.items() if name != "weights"}
    old = Step(stage="denoise", params=params)
    assert old.cards() == ()
    assert torch.equal(after(at, old, frames), after(at, step("denoise", method="spatial"), frames))


def test_notes_name_the_network_where_it_ran(denoiser: Pin) -> None:
    recipe = Recipe(name="r", steps=(with_pin(denoiser, "denoise"),))
    assert "weights folded-cnn:trial" in " ".join(stages.notes(recipe, already_colored=False))
    assert list(stages.notes(recipe, already_colored=False, frame_count=24)) == []


def test_a_network_is_told_the_noise_that_is_given_or_seen(
    at: House, denoiser: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    real = folded_cnn.restore

    def listening(network: torch.nn.Module, pictures: torch.Tensor, *, sigma: float) -> torch.Tensor:
        told.append(sigma)
        return real(network, pictures, sigma=sigma)

    monkeypatch.setattr(folded_cnn, "restore", listening)
    picture = with_grain(film(1, 96, 128, 3), 20 / 255)
    after(at, with_pin(denoiser, "denoise", sigma=0.1), picture)
    assert told.pop() == pytest.approx(0.1)
    after(at, with_pin(denoiser, "denoise"), picture)
    assert told[0] == pytest.approx(20 / 255, rel=0.2)
    told.clear()
    assert torch.equal(after(at, with_pin(denoiser, "denoise", sigma=0), picture), picture)
    assert told == []


def test_depth_beyond_eight_bits_survives_a_network(at: House, denoiser: Pin) -> None:
    ramp = torch.linspace(0.2, 0.8, 4096).view(1, 1, 32, 128)
    assert len(after(at, with_pin(denoiser, "denoise", sigma=0.01), ramp).unique()) > 2000


def test_half_strength_lies_between(at: House, denoiser: Pin) -> None:
    frames = with_grain(film(1), 0.05)
    full, half = (after(at, with_pin(denoiser, "denoise", strength=s), frames) for s in (1, 0.5))
    torch.testing.assert_close(half, (frames + full) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"method": "network", "weights": None}, "needs weights"),
        ({"weights": "eccv16"}, "takes out no noise: it is one of the colorizers"),
        ({"weights": "reelwright-upscale-x2"}, "takes out no noise: it is one of the upscalers"),
        ({"weights": "dncnn-25", "sigma": 0.1}, "DnCNN has no option sigma"),
    ],
)
def test_denoisers_that_cannot_do_it_are_refused(params: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DenoiseParams(**params)  # type: ignore[arg-type]
    assert DenoiseParams(**params | {"method": "spatial"}).cards == ()  # type: ignore[arg-type]


def test_a_scale_that_the_weights_have_not_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="reelwright-upscale-x2 enlarges 2 times, not 3 times"):
        UpscaleParams(method="network", scale=3)
    with pytest.raises(ValueError, match="enlarges nothing: it is one of the denoisers"):
        UpscaleParams(method="network", weights="dncnn-25")
    assert UpscaleParams(scale=3).scale == 3
    assert UpscaleParams(method="network").scale == 2
    assert UpscaleParams(method="network", weights="dctlsa-x4").scale == 4
    assert UpscaleParams(method="network", weights="dctlsa-x4:mine").scale == 4
    assert UpscaleParams().scale == 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_the_shipped_denoiser_beats_non_local_means(at: House, channels: int, known: bool) -> None:
    clean = film(1, 96, 128, channels)
    noisy, sigma = with_grain(clean, 25 / 255), 25 / 255 if known else None
    made = step("denoise", method="network", sigma=sigma)
    made = made.model_copy(update={"pins": (registered.pin_from_home("reelwright-denoise", at.settings),)})
    classical = after(at, step("denoise", method="spatial", sigma=sigma), noisy)
    assert psnr_db(after(at, made, noisy), clean) > max(psnr_db(noisy, clean) + 5, psnr_db(classical, clean))


def test_the_shipped_upscaler_beats_lanczos(at: House) -> None:
    large = functional.interpolate(film(1, 48, 64, 3), scale_factor=4, mode="bicubic").clamp(0, 1)
    small = functional.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True)
    made = step("upscale", method="network")
    made = made.model_copy(update={"pins": (registered.pin_from_home("reelwright-upscale-x2", at.settings),)})
    assert psnr_db(after(at, made, small), large) > psnr_db(after(at, step("upscale"), small), large)


def test_accelerators_are_given_full_cells() -> None:
    seen: list[int] = []

    def work(frames: torch.Tensor) -> torch.Tensor:
        seen.append(len(frames))
        return frames

    frames = torch.empty(3, 1, 4, 4, device="meta")
    assert cells.map_cells(frames, 8, work).shape == frames.shape
    assert cells.map_cells(frames.expand(-1, 3, -1, -1), 2, work).shape == (3, 3, 4, 4)
    assert seen == [8, 3]
    assert torch.equal(
        cells.map_cells(torch.arange(12.0).view(3, 1, 2, 2), 8, work), torch.arange(12.0).view(3, 1, 2, 2)
    )
    assert seen == [8, 3, 1, 1, 1]
