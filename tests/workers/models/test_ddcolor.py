from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import ddcolor

NAMES = ("ddcolor-large", "ddcolor-tiny")


@pytest.fixture(scope="module", params=NAMES)
def named(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    name: str = request.param
    return name, golden.filled(ddcolor.build(name), golden.facts(name)["fill"])


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    return golden.filled(ddcolor.build("ddcolor-tiny"), golden.facts("ddcolor-tiny")["fill"])


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def test_keys_shapes_and_parameters_are_as_published(named: tuple[str, nn.Module]) -> None:
    name, network = named
    facts = golden.facts(name)
    assert golden.key_digest(network.state_dict()) == facts["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]


@pytest.mark.parametrize("case", ["a", "b"])
@torch.inference_mode()
def test_numbers_are_as_published(named: tuple[str, nn.Module], case: str) -> None:
    name, network = named
    facts = golden.facts(name)
    said = facts["cases"][case]
    out = network(golden.uniform(said["seed"], tuple(said["shape"]), *said["range"]))
    step = said["stride"]
    assert golden.worst(out[..., ::step, ::step], golden.arrays(name)[case]) <= facts["tolerance"]


def test_norms_divide_as_published(tiny: nn.Module) -> None:
    # In the encoder another number would change the output by less than the tolerance.
    for name, expected in (("encoder", 1e-6), ("decoder", 1e-5)):
        norms = [each for each in tiny.get_submodule(name).modules() if isinstance(each, nn.LayerNorm | nn.BatchNorm2d)]
        assert {norm.eps for norm in norms} == {expected}


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not ddcolor-small"):
        ddcolor.build("ddcolor-small")


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(tiny: nn.Module, pictures: Tensor) -> None:
    together = ddcolor.chroma(tiny, pictures, input_size=96)
    assert together.shape == (2, 2, 96, 96)
    assert together.dtype == torch.float32
    assert torch.equal(together[1:], ddcolor.chroma(tiny, pictures[1:], input_size=96))
    assert not torch.equal(together[0], together[1])


@torch.inference_mode()
def test_only_lightness_counts(tiny: nn.Module) -> None:
    red, light = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.4985)
    red[:, 0] = 1  # its luminance is 0.2127, that of grey 0.4985 too
    far = (ddcolor.chroma(tiny, red, input_size=64) - ddcolor.chroma(tiny, light, input_size=64)).abs().max()
    assert far < 0.2


@torch.inference_mode()
def test_the_input_size_is_512_unless_told(pictures: Tensor) -> None:
    any_network = nn.Conv2d(3, 2, 1)
    assert ddcolor.chroma(any_network, pictures).shape == (2, 2, 512, 512)


@pytest.mark.parametrize("input_size", [0, -32, 100])
def test_an_input_size_that_is_no_multiple_of_32_is_refused(tiny: nn.Module, pictures: Tensor, input_size: int) -> None:
    with pytest.raises(ValueError, match=f"not {input_size}"):
        ddcolor.chroma(tiny, pictures, input_size=input_size)


@pytest.mark.parametrize("size", [(8, 8), (21, 34)])
def test_the_published_picture_keeps_its_size_and_its_lightness(tiny: nn.Module, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(60, 200, (*size, 1), np.uint8).repeat(3, axis=2)
    out = ddcolor.reference_output(tiny, picture, input_size=64)
    assert out.shape == picture.shape
    assert out.dtype == np.uint8
    assert (out != picture).any()
    # A rough luma: colours that leave the gamut are clipped, so lightness is only nearly kept.
    assert np.abs(out @ np.array([0.2, 0.7, 0.1]) - picture[..., 0]).mean() < 12
