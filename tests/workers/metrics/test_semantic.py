"""The classifier is torchvision's, and agreement is counted."""

from __future__ import annotations

import numpy as np
import torch
import torchvision

from workers.metrics import semantic
from workers.models import squeezenet
from workers.ops import planes


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
    given = semantic._network_input(picture)
    assert given.shape == (3, 227, 227)
    assert given[:, 100, 100].tolist() == [50 - 104, 100 - 117, 200 - 123]


def test_pictures_of_any_size_get_a_class_each() -> None:
    torch.manual_seed(0)
    pictures = [planes.from_levels(np.full(size, 90, np.uint8)) for size in ((30, 40, 3), (500, 240, 3))]
    first, second = semantic.observe(pictures, squeezenet.build("squeezenet"))
    assert first == second
    assert 0 <= first < 1000


def test_agreement_is_a_share() -> None:
    values = [semantic.update(*pair) for pair in ((1, 1), (2, 2), (3, 0), (4, 4))]
    assert semantic.compute(np.array(values)) == 0.75
