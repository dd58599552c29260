from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models import siggraph17

FACTS = golden.facts("siggraph17")
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return golden.filled(siggraph17.build("siggraph17"), FACTS["fill"])


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def drawn(case: dict[str, Any]) -> Tensor:
    return golden.uniform(case["seed"], tuple(case["shape"]), *case.get("range", (0, 1)))


def test_keys_shapes_and_parameters_are_as_published(network: nn.Module) -> None:
    assert golden.key_digest(network.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in network.parameters()) == FACTS["parameters"]


@pytest.mark.parametrize("name", FACTS["cases"])
@torch.inference_mode()
def test_numbers_without_hints_are_as_published(network: nn.Module, name: str) -> None:
    case = FACTS["cases"][name]
    out = network(drawn(case))[..., :: case["stride"], :: case["stride"]]
    assert golden.worst(out, golden.arrays("siggraph17")[name]) <= FACTS["tolerance"]


@torch.inference_mode()
def test_numbers_with_hints_are_as_published(network: nn.Module) -> None:
    hints = FACTS["hints"]
    mask = (drawn(hints["mask"]) > hints["mask"]["above"]).float()
    out = network(drawn(hints["light"]), drawn(hints["ab"]) * mask, mask)
    assert golden.worst(out, golden.arrays("siggraph17")["hints"]) <= FACTS["tolerance"]


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not eccv16"):
        siggraph17.build("eccv16")


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(network: nn.Module, pictures: Tensor) -> None:
    hints = [(3, 4, *RED)]
    together = siggraph17.chroma(network, pictures, hints=hints)
    assert together.shape == (2, 2, 256, 256)
    assert torch.equal(together[1:], siggraph17.chroma(network, pictures[1:], hints=hints))


def test_a_hint_lies_where_its_pixel_is_with_its_colour() -> None:
    ab, mask = siggraph17.hint_planes([(25, 10, *RED)], 40, 50)
    assert mask.nonzero().tolist() == [[0, 0, 64, 128]]
    # CIE Lab of sRGB red under D65, as published tables give it.
    assert ab[0, :, 64, 128].tolist() == pytest.approx([80.09, 67.20], abs=0.05)
    assert ab.count_nonzero() == 2


def test_a_radius_fills_a_square_within_the_picture() -> None:
    _, mask = siggraph17.hint_planes([(49.9, 0, *RED, 2)], 40, 50)
    assert mask.sum() == 9
    assert mask[..., :3, 253:].sum() == 9


def test_a_later_hint_covers_an_earlier_one() -> None:
    ab, mask = siggraph17.hint_planes([(5, 5, *RED, 3), (5, 5, *BLUE)], 10, 10)
    assert mask.sum() == 49
    assert ab[0, 1, 128, 128] < -100 < 0 < ab[0, 1, 127, 128]


@pytest.mark.parametrize("hint", [(50, 0, *RED), (0, -1, *RED), (1, 1, 0, 0, 256), (1, 1, *RED, -1), (1, 1, 0, 0)])
def test_what_is_no_hint_of_the_picture_is_refused(hint: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="hint"):
        siggraph17.hint_planes([hint], 40, 50)


def test_the_published_picture_follows_hints_at_its_own_size(network: nn.Module) -> None:
    picture = np.full((21, 34, 3), 120, np.uint8)
    plain, hinted = (siggraph17.reference_output(network, picture, hints=hints) for hints in ((), [(9, 9, *BLUE, 9)]))
    assert plain.shape == hinted.shape == picture.shape
    assert (plain != hinted).any()
