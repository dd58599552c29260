"""The detector's objects as colorizers take them."""

import torch
from torch import Tensor, nn

from workers import models
from workers.models import mask_rcnn


class Detections(nn.Module):
    """Says what torchvision's network says, for three objects; remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.seen: list[Tensor] = []

    def forward(self, pictures: list[Tensor]) -> list[dict[str, Tensor]]:
        self.seen += pictures
        boxes = torch.tensor([[1.0, 2, 30, 40], [5, 5, 9, 9], [0, 0, 4, 4]])
        return [{"boxes": boxes, "scores": torch.tensor([0.99, 0.75, 0.4])} for _ in pictures]


def test_sure_objects_come_with_their_scores_and_unsure_ones_are_left_out() -> None:
    network = Detections()
    found = mask_rcnn.boxes(network, torch.rand(2, 3, 48, 64))
    assert len(found) == 2
    for objects in found:
        assert [box[:4] for box in objects] == [(1, 2, 30, 40), (5, 5, 9, 9)]
        assert [round(box[4], 2) for box in objects] == [0.99, 0.75]


def test_the_detector_sees_each_picture_alone_and_grey() -> None:
    network = Detections()
    mask_rcnn.boxes(network, torch.rand(3, 3, 48, 64))
    assert [tuple(picture.shape) for picture in network.seen] == [(3, 48, 64)] * 3
    assert all(torch.equal(picture[0], picture[2]) for picture in network.seen)


def test_torchvisions_network_runs_and_has_its_published_parts() -> None:
    network = models.build("mask-rcnn")
    assert {"backbone", "rpn", "roi_heads"} <= {name for name, _ in network.named_children()}
    assert network.state_dict()["roi_heads.box_predictor.cls_score.weight"].shape == (91, 1024)
    (found,) = models.boxes(network, torch.rand(1, 3, 64, 96))
    assert all(len(box) == 5 and box[4] >= mask_rcnn.LEAST_SCORE for box in found)
