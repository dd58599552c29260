from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from tests.workers.models.generative_prior import filled
from workers.models import gcp
from workers.models.gcp import Correspondence, Deformator, GenerativePrior, Painter, warp
from workers.models.parts.biggan import SpectralLinear, SpectralWeight

FACTS = golden.facts("gcp")
ARRAYS = golden.arrays("gcp")
CLASS = FACTS["imagenet_class"]


@pytest.fixture(scope="module")
def network() -> GenerativePrior:
    built = filled(gcp.build("gcp"))
    assert isinstance(built, GenerativePrior)
    return built


@pytest.fixture(scope="module")
def narrow() -> nn.Module:
    """The same system with few channels, to run it as a whole."""
    return filled(GenerativePrior(encoder=4, generator=4, discriminator=4, painter=8))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


@pytest.fixture(scope="module")
def plain(narrow: nn.Module, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        return gcp.chroma(narrow, pictures[:1], imagenet_class=CLASS)


def drawn(case: dict[str, Any], name: str) -> Tensor:
    return golden.uniform(case[name]["seed"], tuple(case[name]["shape"]), *case["range"])


def light() -> Tensor:
    levels = np.random.Generator(np.random.PCG64(FACTS["light"]["seed"])).integers(0, 256, (256, 256), np.uint8)
    return torch.from_numpy(levels.astype(np.float32) / np.float32(127.5) - 1)[None, None]


# -- as published


def test_keys_shapes_and_parameters_are_as_published(network: GenerativePrior) -> None:
    assert golden.key_digest(network.state_dict()) == FACTS["key_digest"]
    optional = network.deformator.log_mat_half.numel()
    assert sum(parameter.numel() for parameter in network.parameters()) - optional == FACTS["parameters"]


@torch.inference_mode()
def test_spectral_norms_are_as_published(network: GenerativePrior) -> None:
    for name, expected in zip(FACTS["sigma"], ARRAYS["sigma"], strict=True):
        layer = network.get_submodule(name)
        assert isinstance(layer, SpectralWeight)
        assert float(layer.sigma()) == pytest.approx(float(expected), rel=FACTS["tolerance"]["sigma"])


@torch.inference_mode()
def test_latent_vector_reference_and_features_are_as_published(network: GenerativePrior) -> None:
    classes, strides = torch.tensor([CLASS]), FACTS["strides"]
    latent = network.biggan_E(light(), classes)
    reference = network.biggan_G(latent, classes)
    seen = {
        "latent": latent,
        "picture": thinned(reference.picture, strides["picture"]),
        "quarter": thinned(reference.quarter, strides["quarter"]),
        "query": thinned(network.biggan_D(light())[0], strides["query"]),
    }
    for name, found in seen.items():
        tolerance = FACTS["tolerance"]["latent" if name == "latent" else "features"]
        assert np.abs(found.numpy() - ARRAYS[name]).max() <= tolerance, name


def thinned(found: Tensor, strides: list[int]) -> Tensor:
    return found[:, :: strides[0], :: strides[1], :: strides[2]]


@torch.inference_mode()
def test_correspondence_and_painter_keep_their_numbers(network: GenerativePrior) -> None:
    case = FACTS["correspondence"]
    shares = network.net_corr(drawn(case, "query"), drawn(case, "reference"))
    assert np.abs(shares.numpy() - ARRAYS["correspondence"]).max() <= FACTS["tolerance"]["correspondence"]
    case = FACTS["painter"]
    ab = network.net_gen(*(drawn(case, name) for name in ("light", "quarter", "half", "full")))
    assert np.abs(ab.numpy() - ARRAYS["painter"]).max() <= FACTS["tolerance"]["painter"]


@torch.inference_mode()
def test_the_shift_along_a_direction_is_as_published(network: GenerativePrior) -> None:
    shift = gcp.latent_shift(network, FACTS["shift"]["direction"], FACTS["shift"]["amount"], None)
    assert np.abs(shift.numpy() - ARRAYS["shift"]).max() <= FACTS["tolerance"]["shift"]


def test_lab_is_as_published() -> None:
    rgb = torch.from_numpy(ARRAYS["rgb"]).permute(2, 0, 1)[None].float() / 255
    found = gcp.rgb_to_lab(rgb)
    assert np.abs(found.numpy() - ARRAYS["lab"]).max() < 2e-4
    assert np.abs(gcp.lab_to_rgb(found).numpy() - ARRAYS["back"]).max() < 1e-5


# -- parts


def test_a_weight_is_divided_by_its_largest_singular_value() -> None:
    layer = SpectralLinear(20, 30)
    largest = torch.linalg.matrix_norm(layer.weight.detach(), ord=2)
    for _ in range(200):
        matrix = layer.weight.detach()
        layer.u0 = torch.nn.functional.normalize(layer.u0 @ matrix @ matrix.t())
    kept = layer.u0.clone()
    x = golden.uniform(0, (2, 20))
    assert torch.allclose(layer(x) - layer.bias, x @ layer.weight.t() / largest, atol=1e-5)
    assert torch.equal(layer.u0, kept)


def test_patches_go_where_the_shares_point() -> None:
    found = golden.uniform(0, (1, 3, 8, 12))
    shares = torch.zeros(1, 6, 6)
    shares[0, range(6), [1, 0, 2, 3, 4, 5]] = 1
    moved = warp(shares, found, 4)
    assert torch.equal(moved[..., :4, :4], found[..., :4, 4:8])
    assert torch.equal(moved[..., :4, 4:8], found[..., :4, :4])
    assert torch.equal(moved[..., 4:, :], found[..., 4:, :])


@torch.inference_mode()
def test_the_same_features_match_themselves() -> None:
    network = Correspondence(12).eval()
    network.private_layer[1].load_state_dict(network.private_layer[0].state_dict())
    network.phi.load_state_dict(network.theta.state_dict())
    features = golden.uniform(0, (1, 12, 6, 6), -1)
    assert torch.equal(network(features, features).argmax(dim=-1)[0], torch.arange(36))


@torch.inference_mode()
def test_a_direction_is_turned_not_stretched() -> None:
    deformator = Deformator()
    deformator.log_mat_half.copy_(golden.uniform(0, (119, 119), -0.1, 0.1))
    shift = deformator(4, -7.5)
    assert float(shift.norm()) == pytest.approx(7.5, rel=1e-4)
    assert float(shift[0, 119]) == 0


@torch.inference_mode()
def test_the_painter_takes_any_size_in_fours() -> None:
    maps = [golden.uniform(seed, (2, 4 * 2 ** (2 - seed), 5 * 2**seed, 3 * 2**seed)) for seed in range(3)]
    assert Painter(8, 4)(golden.uniform(3, (2, 1, 20, 12)), *maps).shape == (2, 2, 20, 12)


# -- the contract


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(narrow: nn.Module, pictures: Tensor, plain: Tensor) -> None:
    together = gcp.chroma(narrow, pictures, imagenet_class=CLASS)
    assert together.shape == (2, 2, 256, 256)
    assert together.abs().max() <= 110
    assert torch.equal(together[:1], plain)
    assert not torch.equal(together[1:], plain)


@pytest.mark.parametrize(
    "changed", [{"imagenet_class": 3}, {"seed": 1}, {"direction": 6, "amount": 8}, {"direction": 7, "amount": 8}]
)
@torch.inference_mode()
def test_an_option_gives_other_colours(
    narrow: nn.Module, pictures: Tensor, plain: Tensor, changed: dict[str, Any]
) -> None:
    assert not torch.equal(plain, gcp.chroma(narrow, pictures[:1], **{"imagenet_class": CLASS} | changed))


@pytest.mark.parametrize("options", [{}, {"imagenet_class": 1000}, {"imagenet_class": -1}])
def test_without_a_class_it_is_refused(narrow: nn.Module, pictures: Tensor, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="imagenet_class is 0 to 999"):
        gcp.chroma(narrow, pictures, **options)


def test_a_direction_that_there_is_not_is_refused(narrow: nn.Module) -> None:
    with pytest.raises(ValueError, match="direction is 0 to 118, not 119"):
        gcp.latent_shift(narrow, 119, 1, None)


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not biggan"):
        gcp.build("biggan")


def test_the_published_picture_has_its_own_size_and_all_levels(narrow: nn.Module) -> None:
    picture = np.random.default_rng(0).integers(90, 160, (21, 34, 3), np.uint8)
    out = gcp.reference_output(narrow, picture, imagenet_class=CLASS)
    assert out.shape == picture.shape
    assert (out.min(), out.max()) == (0, 255)
