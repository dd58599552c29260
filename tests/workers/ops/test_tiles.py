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
    torch.testing.assert_close(tiles.joined(picture, 12, smooth), smooth(picture), rtol=0, atol=1e-5)


def test_no_tile_is_larger_than_its_side_and_surroundings() -> None:
    seen: list[tuple[int, ...]] = []

    def look(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[-2:]))
        return part

    picture = torch.rand(1, 1, 1200, 600)
    assert torch.equal(tiles.joined(picture, 20, look), picture)
    assert seen == [(544, 544), (544, 120), (576, 544), (576, 120), (208, 544), (208, 120)]
    seen.clear()
    tiles.joined(picture, 0, look)
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
    before, after = (models.restored(network, each, **options) for each in (picture, other))
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
    whole = models.restored(network, picture, **options)
    monkeypatch.setattr(tiles, "TILE_PX", 64)
    torch.testing.assert_close(models.restored(network, picture, **options), whole, rtol=0, atol=1e-5)
