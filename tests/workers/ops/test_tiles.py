"""A large picture comes out as if there were no tiles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import CARDS
from workers import models
from workers.ops import tiles

WITH_REACH = sorted(
    {card.build for card in CARDS.values() if 0 < ARCHITECTURES[card.architecture].reach_px < tiles.TILE_PX // 8}
)


def smooth(part: Tensor) -> Tensor:
    """Looks 12 pixels far, and doubles."""
    padded = functional.pad(part, (12, 12, 12, 12))
    return functional.interpolate(functional.avg_pool2d(padded, 25, stride=1), scale_factor=2)


@pytest.mark.parametrize("size", [(40, 530), (513, 30), (700, 1100), (512, 512), (1, 1)])
def test_tiles_join_to_the_whole(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tiles.map_tiles(picture, 12, smooth), smooth(picture), rtol=0, atol=1e-5)


def test_no_tile_is_larger_than_its_side_and_surroundings() -> None:
    seen: list[tuple[int, ...]] = []

    def look(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[-2:]))
        return part

    picture = torch.rand(1, 1, 1200, 600)
    assert torch.equal(tiles.map_tiles(picture, 20, look), picture)
    assert seen == [(544, 544), (544, 120), (576, 544), (576, 120), (208, 544), (208, 120)]
    seen.clear()
    tiles.map_tiles(picture, 0, look)
    assert seen == [(1200, 600)]


@pytest.mark.parametrize("build", WITH_REACH)
def test_a_network_looks_no_further_than_its_entry_says(build: str) -> None:
    torch.manual_seed(1)
    network = models.build(build)
    spec = ARCHITECTURES[str(network.architecture)]
    options = {"sigma": 0.1} if "sigma" in spec.options else {}
    picture = torch.rand(1, 1, 96, 96)
    other = picture.clone()
    other[..., 48, 48] += 0.5
    before, after = (models.restore(network, each, **options) for each in (picture, other))
    scale = before.shape[-1] // 96
    rows, columns = (before != after)[0, 0].nonzero(as_tuple=True)
    reached = max(abs(int(each) // scale - 48) for each in (*rows, *columns))
    assert spec.reach_px / 2 < reached <= spec.reach_px


@pytest.mark.parametrize("build", ["folded-cnn", "subpixel-cnn"])
def test_a_network_makes_the_same_of_tiles(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    network: nn.Module = models.build(build)
    options = {"sigma": 0.1} if build == "folded-cnn" else {}
    picture = torch.rand(1, 3, 101, 143)
    whole = models.restore(network, picture, **options)
    monkeypatch.setattr(tiles, "TILE_PX", 64)
    torch.testing.assert_close(models.restore(network, picture, **options), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (384, 384), (385, 30), (40, 900), (1000, 790)])
@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_that_fade_make_the_same_of_what_looks_near(size: tuple[int, int], scale: int) -> None:
    picture = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))

    def near(part: Tensor) -> Tensor:
        return functional.interpolate(part, scale_factor=scale, mode="nearest")

    torch.testing.assert_close(tiles.blend_tiles(picture, scale, near), near(picture), rtol=0, atol=1e-6)


def test_what_looks_at_the_mean_of_its_tile_leaves_a_slope_and_no_step() -> None:
    picture = torch.linspace(0, 1, 800).expand(1, 1, 20, 800)
    row = tiles.blend_tiles(picture, 1, lambda part: part.mean().expand(part.shape))[0, 0, 0]
    steps = row.diff().abs()
    assert float(row[-1] - row[0]) > 0.5
    # Three tiles, two slopes of 64 pixels; between them nothing changes.
    assert int((steps > 1e-6).sum()) <= 2 * (2 * tiles._FADE_PX + 1)
    assert float(steps.max()) < 1.1 * float(row[-1] - row[0]) / (2 * 2 * tiles._FADE_PX)


def test_no_fading_tile_is_larger_than_the_others_with_what_is_around() -> None:
    seen: list[tuple[int, ...]] = []

    def look(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[-2:]))
        return part

    tiles.blend_tiles(torch.rand(1, 1, 1200, 400), 1, look)
    assert len(seen) == 8
    assert max(max(each) for each in seen) <= tiles._FADED_PX + 2 * tiles._AROUND_PX
    assert all(side % 16 == 0 for each in seen for side in each)
