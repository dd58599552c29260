from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import eccv16

FACTS = golden.facts("eccv16")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return golden.filled(eccv16.build("eccv16"), FACTS["fill"])


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def test_keys_shapes_and_parameters_are_as_published(network: nn.Module) -> None:
    assert golden.key_digest(network.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == FACTS["parameters"]


@pytest.mark.parametrize("name", FACTS["cases"])
def test_numbers_are_as_published(network: nn.Module, name: str) -> None:
    case = FACTS["cases"][name]
    with torch.inference_mode():
        out = network(golden.uniform(case["seed"], tuple(case["shape"]), *case["range"]))
    step = case["stride"]
    assert golden.worst(out[..., ::step, ::step], golden.arrays("eccv16")[name]) <= FACTS["tolerance"]


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not siggraph17"):
        eccv16.build("siggraph17")


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(network: nn.Module, pictures: Tensor) -> None:
    together = eccv16.chroma(network, pictures)
    assert together.shape == (2, 2, 256, 256)
    assert together.dtype == torch.float32
    assert torch.equal(together[1:], eccv16.chroma(network, pictures[1:]))
    assert not torch.equal(together[0], together[1])


@torch.inference_mode()
def test_only_lightness_counts(network: nn.Module) -> None:
    red, light = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 126 / 255)
    red[:, 0] = 1  # L 53.2, which grey 127 / 255 (L 53.4) comes near
    far = (eccv16.chroma(network, red) - eccv16.chroma(network, light)).abs().max()
    assert far < 0.5


@torch.inference_mode()
def test_the_published_picture_has_its_own_lightness_and_the_networks_colour(network: nn.Module) -> None:
    picture = np.random.default_rng(0).integers(90, 160, (21, 34, 1), np.uint8).repeat(3, axis=2)
    out = eccv16.reference_output(network, picture)
    assert out.shape == picture.shape
    chroma = eccv16.chroma(network, golden.to_planes(picture))
    colored, source = golden.opencv_lab(out), golden.opencv_lab(picture)
    shown = golden.is_in_gamut(out)
    assert shown.mean() > 0.2
    # Rounding to 8 bits moves lightness by less than half a unit, chroma by about one.
    assert np.abs(colored - source)[shown][:, 0].max() < 0.5
    expected = torch.nn.functional.interpolate(chroma, picture.shape[:2], mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert np.abs(colored[..., 1:] - expected)[shown].max() < 2
