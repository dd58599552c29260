from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import deoldify

NAMES = ("deoldify-stable", "deoldify-artistic")


@pytest.fixture(scope="module", params=NAMES)
def named(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    name: str = request.param
    return name, golden.filled(deoldify.build(name), golden.facts(name)["fill"])


@pytest.fixture(scope="module")
def artistic() -> nn.Module:
    return golden.filled(deoldify.build("deoldify-artistic"), golden.facts("deoldify-artistic")["fill"])


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def test_keys_shapes_and_parameters_are_as_published(named: tuple[str, nn.Module]) -> None:
    name, network = named
    facts = golden.facts(name)
    assert golden.key_digest(network.state_dict()) == facts["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]


# a fits; in b and c sizes are odd on the way, and maps are repaired.
@pytest.mark.parametrize("case", ["a", "b", "c"])
@torch.inference_mode()
def test_numbers_are_as_published(named: tuple[str, nn.Module], case: str) -> None:
    name, network = named
    facts = golden.facts(name)
    said = facts["cases"][case]
    out = network(golden.uniform(said["seed"], tuple(said["shape"]), *said["range"]))
    step = said["stride"]
    assert golden.worst(out[..., ::step, ::step], golden.arrays(name)[case]) <= facts["tolerance"]


def test_the_network_for_film_is_the_stable_one() -> None:
    with torch.device("meta"):
        video = deoldify.build("deoldify-video")
    assert golden.key_digest(video.state_dict()) == golden.facts("deoldify-stable")["key_digest"]


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not deoldify$"):
        deoldify.build("deoldify")


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(artistic: nn.Module, pictures: Tensor) -> None:
    together = deoldify.chroma(artistic, pictures, render_factor=7)
    assert together.shape == (2, 2, 112, 112)
    assert together.dtype == torch.float32
    assert torch.equal(together[1:], deoldify.chroma(artistic, pictures[1:], render_factor=7))
    assert not torch.equal(together[0], together[1])


@torch.inference_mode()
def test_colour_is_taken_out_as_pillow_does(artistic: nn.Module) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    grey = np.array(Image.fromarray(picture).convert("LA").convert("RGB"))
    seen = [torch.from_numpy(each).permute(2, 0, 1)[None] / 255 for each in (picture, grey)]
    coloured, plain = (deoldify.chroma(artistic, each, render_factor=7) for each in seen)
    assert torch.equal(coloured, plain)


@torch.inference_mode()
def test_the_render_factor_says_the_size_and_is_35_unless_told(pictures: Tensor) -> None:
    any_network = nn.Conv2d(3, 3, 1)
    assert deoldify.chroma(any_network, pictures).shape == (2, 2, 560, 560)
    assert deoldify.chroma(any_network, pictures, render_factor=9).shape == (2, 2, 144, 144)


@pytest.mark.parametrize("render_factor", [6, 46])
def test_a_render_factor_out_of_range_is_refused(artistic: nn.Module, pictures: Tensor, render_factor: int) -> None:
    with pytest.raises(ValueError, match=f"7 to 45, not {render_factor}"):
        deoldify.chroma(artistic, pictures, render_factor=render_factor)


@pytest.mark.parametrize("size", [(8, 8), (21, 34)])
def test_the_published_picture_keeps_its_size_and_its_luma(artistic: nn.Module, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(100, 160, (*size, 3), np.uint8)
    out = deoldify.reference_output(artistic, picture, render_factor=7)
    assert out.shape == picture.shape
    assert out.dtype == np.uint8
    before, after = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(int) for each in (picture, out))
    # Colours that leave the gamut are clipped, so luma is only nearly kept.
    assert np.median(np.abs(before - after)) <= 1
    assert np.abs(picture.astype(int) - out).mean() > 5
