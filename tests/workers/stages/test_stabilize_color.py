"""Colour that flickers comes to rest; colour that is there stays, and none passes a cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.support.damage import clip, film, reel, step
from workers import stages
from workers.metrics import colorfulness
from workers.tasks import scoring


def clean(count: int = 14) -> torch.Tensor:
    """A coloured pan: the colour of each place moves with it."""
    frames = film(count, 96, 128, channels=3)
    return (frames.mean(1, keepdim=True) + 1.5 * (frames - frames.mean(1, keepdim=True))).clamp(0.05, 0.95)


def flickering(frames: torch.Tensor, amount: float = 0.05, seed: int = 0) -> torch.Tensor:
    """Each frame's colour is off by blotches and a cast of its own; luma is as it was."""
    rng = np.random.default_rng(seed)
    blotches = torch.from_numpy(rng.normal(0, amount, (len(frames), 2, 3, 4)).astype(np.float32))
    cast = torch.from_numpy(rng.normal(0, amount / 2, (len(frames), 2, 1, 1)).astype(np.float32))
    red, blue = (functional.interpolate(blotches, frames.shape[-2:], mode="bilinear") + cast).unbind(1)
    green = -(0.299 * red + 0.114 * blue) / 0.587
    return frames + torch.stack([red, green, blue], 1)


def steady(frames: torch.Tensor, shots: tuple[tuple[int, int], ...] | None = None, **params: object) -> torch.Tensor:
    around = reel(frames, shots or ((0, len(frames)),))
    return stages.apply(step("stabilize_color", **params), clip(frames), 0, len(frames), around)


def measured(frames: torch.Tensor) -> dict[str, float]:
    pairs = scoring.NeighborScores()
    for frame in frames:
        pairs.add(frame.numpy())
    colour = float(np.mean([colorfulness.update(frame.numpy()) for frame in frames]))
    return scoring.summarize(pairs.values()) | {"colorfulness": colour}


@pytest.mark.parametrize("seed", [0, 1])
def test_flicker_of_colour_falls_towards_the_clean_films_and_colour_stays(seed: int) -> None:
    film_ = clean()
    damaged = flickering(film_, seed=seed)
    restored = steady(damaged)
    before, after, own = measured(damaged), measured(restored), measured(film_)
    for name in ("color_consistency", "warp_error"):
        assert before[name] > 3 * own[name]
        assert after[name] - own[name] < 0.4 * (before[name] - own[name])
    assert after["colorfulness"] > 0.95 * own["colorfulness"]
    assert float((restored - film_).abs().mean()) < 0.6 * float((damaged - film_).abs().mean())


def test_a_clean_film_keeps_its_colour() -> None:
    film_ = clean()
    restored = steady(film_)
    assert measured(restored)["colorfulness"] > 0.97 * measured(film_)["colorfulness"]
    assert float((restored - film_).abs().mean()) < 0.01


def test_luma_is_left_alone() -> None:
    damaged = flickering(clean(6))
    shares = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    change = ((steady(damaged) - damaged) * shares).sum(1)
    assert float(change.abs().max()) < 1e-5


def test_nothing_bleeds_over_a_cut() -> None:
    first, second = clean(5), clean(10)[5:].flip(1)
    frames = torch.cat([first, second])
    apart = torch.cat([steady(first), steady(second)])
    together = steady(frames, ((0, 5), (5, 10)))
    assert torch.equal(together, apart)


def test_a_longer_reach_is_steadier() -> None:
    damaged = flickering(clean())
    short, long = (measured(steady(damaged, radius=radius))["color_consistency"] for radius in (1, 6))
    assert long < short


def test_grey_film_comes_back_as_it_is() -> None:
    frames = film(4)
    assert torch.equal(steady(frames), frames)
