"""Grain that was taken comes back, as strong and as coarse."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from tests.support.damage import clip, reel, step
from workers import stages
from workers.frames import STILL, Reel

SIGMA = 0.03


def scene(channels: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(0)
    planes = []
    for _ in range(channels):
        total = sum(cv2.GaussianBlur(rng.standard_normal((160, 224)), (0, 0), sigma) * sigma for sigma in (3, 8, 16))
        planes.append(0.25 + 0.5 * (total - total.min()) / np.ptp(total))
    return torch.from_numpy(np.array(planes, np.float32))


def grain(seed: int) -> torch.Tensor:
    white = np.random.default_rng(seed).standard_normal((160, 224)).astype(np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), 0.6)
    return torch.from_numpy(soft / soft.std())


def grainy(count: int = 5, channels: int = 1, sigma: float = SIGMA) -> torch.Tensor:
    return torch.stack([scene(channels) + sigma * grain(seed) for seed in range(count)])


def regrained(source: torch.Tensor, given: torch.Tensor, **params: object) -> torch.Tensor:
    context = reel(source, ((0, len(source)),), kinds=("grain",))
    return stages.apply(step("regrain", **params), clip(given), 0, len(given), context)


def lag(plane: torch.Tensor, columns: int) -> float:
    return float((plane[..., columns:] * plane[..., :-columns]).mean() / plane.var())


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_a_clean_picture_gets_the_sources_grain_or_a_share_of_it(amount: float) -> None:
    clean = scene().expand(5, 1, -1, -1).contiguous()
    added = regrained(grainy(), clean + 1e-3 * grainy(), amount=amount) - clean
    assert float(added.std()) == pytest.approx(amount * SIGMA, rel=0.1)
    for columns in (1, 2):
        assert lag(added, columns) == pytest.approx(lag(grain(0), columns), abs=0.1)


def test_what_the_picture_still_has_counts() -> None:
    clean = scene().expand(5, 1, -1, -1)
    got = regrained(grainy(), grainy(sigma=0.6 * SIGMA)) - clean
    assert float(got.std()) == pytest.approx(SIGMA, rel=0.1)
    untouched = regrained(grainy(), grainy())
    assert float((untouched - grainy()).std()) < 0.35 * SIGMA


def test_no_frame_becomes_lighter_or_darker() -> None:
    clean = scene().expand(5, 1, -1, -1) + 1e-3 * grainy()
    got = regrained(grainy(), clean)
    assert float((got - clean).mean((1, 2, 3)).abs().max()) < 1e-5


def test_a_picture_that_stands_still_has_lost_its_grain_unless_the_source_stood_still_too() -> None:
    clean = scene().expand(5, 1, -1, -1).contiguous()
    assert float((regrained(grainy(), clean) - clean).std()) == pytest.approx(SIGMA, rel=0.1)
    held = grainy()
    held[1:4] = held[1]
    assert torch.equal(regrained(held, held)[2], held[2])


def test_each_frame_has_grain_of_its_own_and_a_seed_draws_other() -> None:
    clean = scene().expand(5, 1, -1, -1) + 1e-3 * grainy()
    one, other = (regrained(grainy(), clean, seed=seed) - clean for seed in (0, 1))
    assert abs(float(np.corrcoef(one[1].flatten(), one[2].flatten())[0, 1])) < 0.05
    assert abs(float(np.corrcoef(one[1].flatten(), other[1].flatten())[0, 1])) < 0.05
    assert torch.equal(one, regrained(grainy(), clean) - clean)


def test_colour_film_has_grain_of_its_own_in_each_layer_and_a_coloured_silver_film_none() -> None:
    clean = scene(3).expand(5, 3, -1, -1) + 1e-5 * grainy(channels=3)
    source = grainy(channels=3)
    in_color = regrained(source, clean) - clean
    assert float((in_color[:, 0] - in_color[:, 2]).std()) > 0.1 * SIGMA
    context = reel(source[:, :1], ((0, 5),), kinds=("grain",))
    silver = stages.apply(step("regrain"), clip(clean), 0, 5, context) - clean
    assert float((silver[:, 0] - silver[:, 2]).abs().max()) < 1e-6


def test_an_enlarged_picture_gets_enlarged_grain() -> None:
    clean = torch.nn.functional.interpolate(scene()[None], scale_factor=2, mode="bicubic").expand(5, 1, -1, -1)
    given = clean + 1e-5 * torch.randn(5, 1, 320, 448, generator=torch.Generator().manual_seed(0))
    added = regrained(grainy(), given) - given
    assert lag(added, 2) == pytest.approx(lag(grain(0), 1), abs=0.15)
    assert lag(added, 1) > 0.6


def test_a_clean_source_a_still_and_an_unknown_reel_get_none() -> None:
    clean = scene().expand(5, 1, -1, -1).contiguous()
    assert torch.equal(regrained(clean, clean), clean)
    assert torch.equal(stages.apply(step("regrain"), clip(clean[:1]), 0, 1, STILL), clean[:1])
    unknown = Reel(5, Fraction(18), ((0, 5),))
    assert torch.equal(stages.apply(step("regrain"), clip(clean), 0, 5, unknown), clean)
