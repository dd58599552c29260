"""Networks that restore: our own and those that spandrel draws, loaded strictly, alone and in batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import CARDS
from db.errors import InputError
from tests.support import placeholders
from workers import models
from workers.models.checkpoints import loading

RESTORERS = sorted(
    {card.build for card in CARDS.values() if ARCHITECTURES[card.architecture].task in ("denoiser", "upscaler")}
)


def options_of(build: str) -> dict[str, float]:
    return {"sigma": 0.1} if "sigma" in ARCHITECTURES[str(models.build(build).architecture)].options else {}


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("build", RESTORERS)
def test_a_file_is_known_by_its_keys_and_loads_strictly(build: str, tmp_path: Path) -> None:
    path = placeholders.weights(tmp_path / "w.safetensors", build)
    assert loading.recognize([path]) == build
    network = models.load(path)
    wrapped = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "w.pth")
    assert loading.recognize([tmp_path / "w.pth"]) == build
    state = network.state_dict()
    state.pop(next(iter(state)))
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match="1 keys are lacking"):
        models.load(tmp_path / "cut.safetensors", build)


@pytest.mark.parametrize("build", RESTORERS)
@pytest.mark.parametrize("size", [(1, 1), (9, 30)])
def test_pictures_of_any_size_and_one_or_three_channels_come_out(build: str, size: tuple[int, int]) -> None:
    network = models.build(build)
    scale = next(card.scale for card in CARDS.values() if card.build == build)
    for channels in (1, 3):
        made = models.restore(network, torch.rand(1, channels, *size), **options_of(build))
        assert made.shape == (1, channels, size[0] * scale, size[1] * scale)
        assert made.dtype == torch.float32


@pytest.mark.parametrize("build", RESTORERS)
def test_a_picture_does_not_depend_on_others_in_its_batch(build: str) -> None:
    network, pictures = models.build(build), torch.rand(3, 3, 24, 20)
    together = models.restore(network, pictures, **options_of(build))
    alone = models.restore(network, pictures[1:2], **options_of(build))
    assert torch.equal(together[1:2], alone)


def test_equal_channels_stay_equal() -> None:
    for build in ("folded-cnn", "dncnn"):
        grey = torch.rand(1, 1, 24, 20)
        network, options = models.build(build), options_of(build)
        made = models.restore(network, grey.expand(-1, 3, -1, -1), **options).mean(dim=1, keepdim=True)
        torch.testing.assert_close(made, models.restore(network, grey, **options), rtol=0, atol=1e-5)


def test_an_option_that_a_network_has_not_is_no_option() -> None:
    with pytest.raises(TypeError, match="sigma"):
        models.restore(models.build("dncnn"), torch.rand(1, 1, 8, 8), sigma=0.1)


def test_a_network_of_another_name_is_not_built() -> None:
    for name in ("dncnn", "dctlsa", "folded_cnn", "subpixel_cnn", "lite_unet"):
        module = pytest.importorskip(f"workers.models.{name}")
        with pytest.raises(ValueError, match="of this module, not nonsense"):
            module.build("nonsense")
