"""Luma after steps on colour: by itself, and in what real recipes write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from db.recipe import Recipe
from db.states import ItemKind
from tests.support import damage, sequences, tint
from tests.support.reels import House, film, house, item, moving, planes_of, whole_life
from workers.media.pixels import WEIGHTS
from workers.ops import luma
from workers.tasks.restore_still import restore_still


def _random(seed: int, count: int = 1, spread: float = 0.6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.5, spread, (count, 3, 40, 50)).astype(np.float32))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_luma_is_kept_to_a_code_value_even_where_colours_must_give_way(matrix: str, bits: int) -> None:
    shares, top = WEIGHTS[matrix], 2**bits - 1
    source = torch.rand(1, 1, 40, 50, generator=torch.Generator().manual_seed(bits))
    source[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 1e-4, 1 - 1e-4])
    codes = torch.round(luma.restore_luma(_random(bits), source, shares) * top)
    assert codes.min() >= 0
    assert codes.max() <= top
    assert (luma.of(codes.double(), shares) - source.double() * top).abs().max() <= 0.51


def test_colours_that_can_be_shown_are_only_moved() -> None:
    source = torch.full((1, 1, 40, 50), 0.5)
    colours = 0.5 + 0.1 * (_random(1) - 0.5)
    kept = luma.restore_luma(colours, source, luma.BT601)
    difference = kept - colours
    assert torch.allclose(difference[:, 0], difference[:, 2], atol=1e-6)
    assert torch.allclose(luma.of(kept, luma.BT601), source, atol=1e-6)


def test_the_nearest_colour_is_taken() -> None:
    """Held against the best of a fine grid over the plane of that luma."""
    shares, wanted = luma.BT601, 0.3
    colours = _random(5)[..., :1, :6]
    kept = luma.restore_luma(colours, torch.full((1, 1, 1, 6), wanted), shares)
    red, blue = np.meshgrid(np.linspace(0, 1, 801), np.linspace(0, 1, 801))
    green = (wanted - shares[0] * red - shares[1] * blue) / (1 - sum(shares))
    legal = (green >= 0) & (green <= 1)
    plane = np.stack([red[legal], green[legal], blue[legal]])
    moved = colours + wanted - luma.of(colours, shares)
    for at in range(6):
        ours, ideal = kept[0, :, 0, at].numpy(), moved[0, :, 0, at].numpy()
        best = np.sqrt(((plane - ideal[:, None]) ** 2).sum(axis=0)).min()
        assert np.sqrt(((ours - ideal) ** 2).sum()) <= best + 1e-6


def test_luma_beyond_the_display_becomes_grey_of_it() -> None:
    source = torch.tensor([-0.05, 1.08]).view(1, 1, 1, 2)
    kept = luma.restore_luma(torch.rand(1, 3, 1, 2), source, luma.BT601)
    assert torch.equal(kept, source.expand(1, 3, 1, 2))


def test_no_pixel_depends_on_its_neighbours() -> None:
    colours, source = _random(3, 4), torch.rand(4, 1, 40, 50)
    whole = luma.restore_luma(colours, source, luma.BT601)
    for frame in range(4):
        alone = luma.restore_luma(colours[frame : frame + 1], source[frame : frame + 1], luma.BT601)
        assert torch.equal(whole[frame : frame + 1], alone)


# -- real recipes


def _recipe(at: House, keep_luma: bool, colours: bool) -> Recipe:
    enhance = damage.step("color_enhance", contrast=1.0, saturation=3.0, white_balance=1.0, keep_luma=keep_luma)
    steady = damage.step("stabilize_color", radius=1, keep_luma=keep_luma)
    first = () if colours else (tint.step(tint.pin(at.store, at.folder / "weights", 1.5), keep_luma=keep_luma),)
    return Recipe(name="trial", steps=(*first, steady, enhance))


def _luma_codes(planes: list[NDArray[Any]]) -> NDArray[np.float64]:
    if len(planes) == 1:
        rows = planes[0].reshape(planes[0].shape[0], -1, 4)
        planes = [rows[..., 1], rows[..., 0], rows[..., 2]]
    green, blue, red = (plane.astype(np.float64) for plane in planes)
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize(("name", "bits"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
@pytest.mark.parametrize("keep_luma", [True, False])
def test_grey_film_in_colour_has_its_own_luma(tmp_path: Path, name: str, bits: int, keep_luma: bool) -> None:
    at, frames = house(tmp_path), moving(3, bits=bits)
    reel = item(film(tmp_path / "a.mkv", frames, name, full_range=True))
    _, result = whole_life(at, reel.model_copy(update={"recipe": _recipe(at, keep_luma, False)}))
    worst = max(
        np.abs(_luma_codes(made) - frame[0]).max()
        for made, frame in zip(planes_of(at.path(result.outputs["master"])), frames, strict=True)
    )
    assert (worst <= 1) == keep_luma


@pytest.mark.parametrize(("name", "bits"), [("gbrp10le", 10), ("gbrp16le", 16)])
def test_rgb_film_keeps_its_luma(tmp_path: Path, name: str, bits: int) -> None:
    at, frames = house(tmp_path), moving(3, channels=3, bits=bits)
    reel = item(film(tmp_path / "a.mkv", frames, name))
    _, result = whole_life(at, reel.model_copy(update={"recipe": _recipe(at, True, True)}))
    for made, frame in zip(planes_of(at.path(result.outputs["master"])), frames, strict=True):
        assert np.abs(_luma_codes(made) - _luma_codes(list(frame))).max() <= 1


@pytest.mark.parametrize(("name", "bits"), [("yuv444p", 8), ("yuv420p", 8), ("yuv444p10le", 10), ("yuv444p16le", 16)])
def test_yuv_film_keeps_its_luma_plane(tmp_path: Path, name: str, bits: int) -> None:
    at, frames = house(tmp_path), moving(3, channels=3, bits=bits)
    if name == "yuv420p":
        frames = [[frame[0], frame[1][::2, ::2], frame[2][::2, ::2]] for frame in frames]
    reel = item(film(tmp_path / "a.mkv", frames, name))
    _, result = whole_life(at, reel.model_copy(update={"recipe": _recipe(at, True, True)}))
    for made, frame in zip(planes_of(at.path(result.outputs["master"])), frames, strict=True):
        assert np.abs(made[0].astype(int) - frame[0].astype(int)).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_still_in_colour_has_its_own_luma(tmp_path: Path, bits: int) -> None:
    at, grey = house(tmp_path), moving(1, bits=bits)[0][0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    still = item(tmp_path / "a.png", kind=ItemKind.STILL).model_copy(update={"recipe": _recipe(at, True, False)})
    made = sequences.read(at.path(restore_still(still, at.bench()).outputs["still"]))
    assert made.shape[2] == 3
    luma_codes = made.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(luma_codes - grey).max() <= 1
