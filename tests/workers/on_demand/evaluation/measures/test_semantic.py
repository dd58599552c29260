"""The classifier is torchvision's, and agreement is counted."""

from __future__ import annotations

import numpy as np
import torch
import torchvision

from workers.models import squeezenet
from workers.on_demand.evaluation.measures import semantic


def test_keys_shapes_and_results_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.squeezenet1_0().eval()
    ours = squeezenet.build("squeezenet")
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, semantic.SIDE_PX, semantic.SIDE_PX) * 60
    with torch.inference_mode():
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_a_picture_is_given_as_blue_green_red_less_the_mean() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[...] = (200, 100, 50)
    prepared = semantic.prepared(picture)
    assert prepared.shape == (3, 227, 227)
    assert prepared[:, 100, 100].tolist() == [50 - 104, 100 - 117, 200 - 123]


def test_pictures_of_any_size_get_a_class_each() -> None:
    torch.manual_seed(0)
    pictures = [np.full((30, 40, 3), 90, np.uint8), np.full((500, 240, 3), 90, np.uint8)]
    first, second = semantic.choices(squeezenet.build("squeezenet"), pictures)
    assert first == second
    assert 0 <= first < 1000


def test_agreement_is_a_share() -> None:
    assert semantic.agreement([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert semantic.agreement([], []) == 0
