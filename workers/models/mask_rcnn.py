"""Mask R-CNN (He and others, 2017) as torchvision builds it: finds the objects in a picture."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn

LEAST_SCORE = 0.7
"""Objects that the network is less sure of are left out."""


def build(name: str) -> nn.Module:
    """Return the network with 91 classes of COCO: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "mask-rcnn":
        raise ValueError(f"mask-rcnn is the network of this module, not {name}")
    return cast(nn.Module, maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)).eval()


def boxes(network: nn.Module, pictures: Tensor) -> list[list[tuple[float, float, float, float, float]]]:
    """Return for each RGB picture ``(N, 3, H, W)`` 0..1 its objects: left, top, right, bottom in pixels, and score.

    Surest first; colour is not looked at.
    """
    device = next(network.parameters()).device
    weights = torch.tensor([0.299, 0.587, 0.114], device=device)[:, None, None]
    objects = []
    for picture in pictures:  # one at a time: sizes inside depend on the batch
        gray = (picture.to(device) * weights).sum(0, keepdim=True).clamp(0, 1)
        detections = network([gray.expand(3, -1, -1)])[0]
        confident = detections["scores"] >= LEAST_SCORE
        rows = torch.cat([detections["boxes"][confident], detections["scores"][confident][:, None]], dim=1).tolist()
        objects.append([(row[0], row[1], row[2], row[3], row[4]) for row in rows])
    return objects
