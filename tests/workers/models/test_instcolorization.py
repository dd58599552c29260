from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import instcolorization
from workers.models.instcolorization import InstColorization, box_placements, strongest_boxes

FACTS = golden.facts("instcolorization")
ARRAYS = golden.arrays("instcolorization")
BOX = (5, 4, 30, 20)


@pytest.fixture(scope="module")
def network() -> InstColorization:
    built = instcolorization.build("instcolorization")
    assert isinstance(built, InstColorization)
    factors = FACTS["amplified"]
    matrices = [key for key, value in built.state_dict().items() if value.ndim >= 2]
    scale = {key: factors["weight_layer" if "weight_layer" in key else "others"] for key in matrices}
    golden.filled(built, {"scale": scale})
    return built


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def drawn() -> tuple[Tensor, Tensor]:
    case = FACTS["input"]
    planes = golden.uniform(case["seed"], tuple(case["shape"]), *case["range"])
    return planes[:1], planes[1:]


def test_keys_shapes_and_parameters_are_as_published(network: nn.Module) -> None:
    assert golden.key_digest(network.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == FACTS["parameters"]


@torch.inference_mode()
def test_numbers_of_the_whole_picture_are_as_published(network: InstColorization) -> None:
    step, whole = FACTS["strides"]["whole"], drawn()[0]
    logits, ab = network.GComp(whole)
    assert logits.shape == (1, 529, 16, 16)
    assert golden.worst(ab[..., ::step, ::step], ARRAYS["whole"]) <= FACTS["tolerance"]
    assert torch.equal(network(whole), ab)


@torch.inference_mode()
def test_numbers_of_objects_and_of_their_fusion_are_as_published(network: InstColorization) -> None:
    whole, crops = drawn()
    placed = box_placements(FACTS["boxes_xyxy"], tuple(FACTS["size_wh"]), 64)
    ab, maps = network.G(crops)
    step = FACTS["strides"]["objects"]
    assert golden.worst(ab[..., ::step, ::step], ARRAYS["objects"]) <= FACTS["tolerance"]
    assert golden.worst(network.GF(whole, maps, placed), ARRAYS["fusion"]) <= FACTS["tolerance"]
    assert torch.equal(network(whole, crops, placed), network.GF(whole, maps, placed))


def test_boxes_lie_at_each_scale_where_they_were_published() -> None:
    placed = box_placements(FACTS["boxes_xyxy"], tuple(FACTS["size_wh"]), 64)
    assert np.array_equal(np.array(placed), ARRAYS["places"])


def test_a_box_at_the_far_edge_keeps_a_pixel() -> None:
    place = box_placements([(99, 79, 99, 79)], (100, 80), 256)[3][0]
    assert (place.width, place.height) == (1, 1)
    assert (place.left, place.top, place.right, place.bottom) == (30, 30, 1, 1)


def test_eight_boxes_with_the_highest_scores_are_taken() -> None:
    boxes = [(index, 0, index + 1, 1, score) for index, score in enumerate((9, 1, 8, 7, 6, 2, 5, 4, 3, 10))]
    assert [box[0] for box in strongest_boxes(boxes, (100, 100))] == [0, 2, 3, 4, 6, 7, 8, 9]
    assert [box[0] for box in strongest_boxes([box[:4] for box in boxes], (100, 100))] == [*range(8)]


def test_coordinates_are_cut_to_whole_numbers_and_to_the_picture() -> None:
    assert strongest_boxes([(1.9, 2.9, 300.9, 4.9)], (50, 40)) == [(1, 2, 50, 4)]


@pytest.mark.parametrize("box", [(5, 5, 4, 6), (-1, 0, 5, 5), (1, 2, 3), (50, 0, 51, 5), (0, 40, 5, 41)])
def test_what_is_no_box_of_the_picture_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="box"):
        strongest_boxes([box], (50, 40))


@torch.inference_mode()
def test_a_picture_depends_on_its_own_boxes_alone(network: nn.Module, pictures: Tensor) -> None:
    twice = pictures[[0, 0]]
    together = instcolorization.chroma(network, twice, boxes=[[], [BOX]])
    assert together.shape == (2, 2, 256, 256)
    assert torch.equal(together[:1], instcolorization.chroma(network, pictures[:1]))
    # Far from the box the picture's own network and the fusing one differ too: there are two sets of weights.
    assert not torch.equal(together[0], together[1])


@torch.inference_mode()
def test_boxes_for_another_number_of_pictures_are_refused(network: nn.Module, pictures: Tensor) -> None:
    with pytest.raises(ValueError, match="3 sequences of boxes for 2 pictures"):
        instcolorization.chroma(network, pictures, boxes=[[BOX], [], []])


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not G"):
        instcolorization.build("G")


@torch.inference_mode()
def test_the_published_picture_is_the_networks_square_with_the_pictures_lightness(network: nn.Module) -> None:
    picture = np.full((21, 34, 3), 128, np.uint8)
    out = instcolorization.reference_output(network, picture, boxes=[BOX])
    assert out.shape == (256, 256, 3)
    chroma = instcolorization.chroma(network, golden.to_planes(picture), boxes=[[BOX]])
    colored, shown = golden.opencv_lab(out), golden.is_in_gamut(out)
    assert shown.mean() > 0.2
    # L of sRGB 128 is 53.6.
    assert np.abs(colored[..., 0] - 53.585)[shown].max() < 0.5
    assert np.abs(colored[..., 1:] - chroma[0].permute(1, 2, 0).numpy())[shown].max() < 2
