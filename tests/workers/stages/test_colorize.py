"""Colour comes from a network and lightness from the source, for any window, depth and strength."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from db.catalog.stages.color import ColorizeParams
from db.errors import InputError
from db.recipe import Pin, Step
from tests.support import tint
from tests.support.damage import clip, film, reel, with_grain
from tests.support.reels import House, house
from workers import stages
from workers.frames import STILL
from workers.ops import lab


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.fixture
def pin(at: House) -> Pin:
    return tint.pin(at.store, at.folder / "weights")


def coloured(at: House, step: Step, frames: torch.Tensor, **around: object) -> torch.Tensor:
    return stages.apply(step, clip(frames), 0, len(frames), replace(reel(frames), **around), at.bench())  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (240, 320)])
def test_lightness_is_the_sources_and_colour_the_networks(
    at: House, pin: Pin, channels: int, size: tuple[int, int]
) -> None:
    frames = with_grain(film(2, *size), 0.02).clamp(0.05, 0.9).expand(-1, channels, -1, -1)
    got = coloured(at, tint.step(pin), frames)
    assert got.shape == (2, 3, *size)
    before, after = lab.rgb_to_lab(frames.expand(-1, 3, -1, -1)), lab.rgb_to_lab(got)
    torch.testing.assert_close(after[:, :1], before[:, :1], rtol=0, atol=0.02)
    assert float(after[:, 1].mean()) == pytest.approx(40 * 0.5 * float(frames.mean()), rel=0.1)
    assert float(after[:, 2].mean()) == pytest.approx(40 * 0.25 * float(frames.mean()), rel=0.1)


def test_any_window_gives_the_same_bits(at: House, pin: Pin) -> None:
    frames, step = with_grain(film(9), 0.05), tint.step(pin, seed=7)
    whole = coloured(at, step, frames)
    around = reel(frames)
    for start, stop in ((0, 1), (2, 7), (8, 9)):
        part = stages.apply(step, clip(frames[start:stop].clone(), start), start, stop, around, at.bench())
        assert torch.equal(part, whole[start:stop])


def test_no_strength_leaves_every_bit_and_needs_no_weights(pin: Pin) -> None:
    frames = film(2)
    step = tint.step(pin, strength=0)
    assert step.cards() == ()
    assert torch.equal(stages.apply(step, clip(frames), 0, 2, reel(frames)), frames)


def test_half_strength_lies_between_grey_and_colour(at: House, pin: Pin) -> None:
    frames = film(2)
    full, half = (coloured(at, tint.step(pin, strength=s), frames) for s in (1, 0.5))
    torch.testing.assert_close(half, (frames + full) / 2, rtol=0, atol=1e-6)


def test_a_source_in_colour_is_kept_unless_it_is_to_be_coloured_anew(at: House, pin: Pin) -> None:
    frames = film(2, channels=3)
    kept = coloured(at, tint.step(pin), frames, already_colored=True)
    assert torch.equal(kept, frames)
    anew = coloured(at, tint.step(pin, already_colored="recolor"), frames, already_colored=True)
    assert not torch.equal(anew, frames)


def test_a_seed_repeats_its_picture_and_another_gives_another(at: House, pin: Pin) -> None:
    frames = film(1)
    one, same, other = (coloured(at, tint.step(pin, seed=seed), frames) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_colours_that_srgb_has_not_lose_colour_and_neither_lightness_nor_hue() -> None:
    light = torch.tensor([97.0, 50.0, 3.0]).view(3, 1, 1, 1)
    chroma = torch.tensor([80.0, 60.0]).view(1, 2, 1, 1).expand(3, -1, -1, -1)
    rgb = lab.clip_to_gamut(light, chroma)
    assert float(rgb.min()) >= -1e-6
    assert float(rgb.max()) <= 1 + 1e-6
    back = lab.rgb_to_lab(rgb)
    assert float((back[:, :1] - light).abs().max()) < 6
    assert (back[:, 1] > 0).all()
    assert (back[:, 2] > 0).all()


def test_weights_that_were_not_pinned_are_named(at: House) -> None:
    step = Step(stage="colorize", params=ColorizeParams(model="tint").model_dump(mode="json"))
    with pytest.raises(InputError, match="tint") as caught:
        stages.apply(step, clip(film(1)), 0, 1, STILL, at.bench())
    assert caught.value.code == "MODEL_MISSING"


def test_weights_that_changed_in_the_store_are_refused(at: House) -> None:
    pin = tint.pin(at.store, at.folder / "weights", warmth=0.123)  # of its own, so that no other test has loaded it
    path = at.path(pin.files[0])
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(InputError) as caught:
        coloured(at, tint.step(pin), film(1))
    assert caught.value.code == "CHECKSUM_MISMATCH"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "eccv16", "render_factor": 20}, "CIC has no option render_factor"),
        ({"model": "gcp"}, "imagenet_class"),
        ({"model": "mask_rcnn"}, "colours nothing"),
        ({"model": "instcolorization", "detector": "eccv16"}, "finds no objects"),
        ({"model": "ddcolor", "input_size": 100}, "multiple of 32"),
        ({"model": "deoldify", "render_factor": 99}, "less than or equal to 45"),
    ],
)
def test_an_option_that_a_system_has_not_is_refused(params: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ColorizeParams(**params)
