from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import colorformer
from workers.models.parts.swin import Swin

FACTS = golden.facts("colorformer")
ARRAYS = golden.arrays("colorformer")


def with_centers(network: nn.Module) -> nn.Module:
    drawn = np.random.Generator(np.random.PCG64(1)).integers(-110, 111, size=(4, 512, 2)) + 128
    for group, centers in enumerate(drawn, 1):
        network.state_dict()[f"seg_decoder.layers.3.color_center{group}"].copy_(torch.from_numpy(centers))
    return network


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return golden.filled(with_centers(colorformer.build("colorformer")), FACTS["fill"])


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def drawn() -> Tensor:
    case = FACTS["cases"]["out64"]
    return golden.uniform(case["seed"], tuple(case["shape"]), *case["range"])


def test_keys_shapes_and_parameters_are_as_published(network: nn.Module) -> None:
    assert golden.key_digest(network.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == FACTS["parameters"]
    trainable = [parameter.numel() for parameter in network.parameters() if parameter.requires_grad]
    assert sum(trainable) == FACTS["trainable"]


@torch.inference_mode()
def test_numbers_are_as_published(network: nn.Module) -> None:
    shares: list[Tensor] = []
    encoder = network.get_submodule("encoder.arch")
    hook = encoder.register_forward_hook(lambda _, __, out: shares.append(out[1]))
    assert golden.worst(network(drawn()), ARRAYS["out64"]) <= FACTS["tolerance"]
    hook.remove()
    assert golden.worst(shares[0], ARRAYS["cls64"]) <= FACTS["tolerance"]


@torch.inference_mode()
def test_vectors_that_no_iteration_has_settled_are_taken_as_they_are() -> None:
    raw = with_centers(colorformer.build("colorformer"))
    golden.filled(raw, {"keep": FACTS["fill"]["keep"]})
    assert golden.worst(raw(drawn()), ARRAYS["raw_out64"]) <= FACTS["raw_tolerance"]


@torch.inference_mode()
def test_an_encoder_takes_sides_that_do_not_divide() -> None:
    encoder = Swin(8, (2, 1), (2, 4), (3, 2)).eval()
    maps, shares = encoder(golden.uniform(0, (2, 3, 37, 50)))
    assert [tuple(each.shape) for each in maps] == [(2, 8, 10, 13), (2, 16, 5, 7)]
    assert shares.shape == (2, 4)
    assert shares.sum(dim=1).tolist() == pytest.approx([1, 1])


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not colorformer-tiny"):
        colorformer.build("colorformer-tiny")


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(network: nn.Module, pictures: Tensor) -> None:
    together = colorformer.chroma(network, pictures)
    assert together.shape == (2, 2, 256, 256)
    assert together.dtype == torch.float32
    assert torch.equal(together[1:], colorformer.chroma(network, pictures[1:]))
    assert not torch.equal(together[0], together[1])


def test_the_published_picture_is_a_square_of_like_lightness(network: nn.Module) -> None:
    picture = np.full((21, 34, 3), 128, np.uint8)
    out = colorformer.reference_output(network, picture)
    assert out.shape == (256, 256, 3)
    assert out.dtype == np.uint8
    assert (out != 128).any()
    # A rough luma: colours that leave the gamut are clipped, so lightness is only nearly kept.
    assert np.abs(out @ np.array([0.2, 0.7, 0.1]) - 128).mean() < 12
