"""How far two pictures are apart as a classifier sees them. The courses use it.

VGG-16 with batch norm (Simonyan and Zisserman 2015), filled from torchvision's published file, which the user has. Only
the convolutions are built: what is compared is the first convolution's output of each of the five blocks.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models import imagenet
from workers.training import started

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 1))
"""Channels and convolutions of each block, as far as is needed."""


class VggDistance(nn.Module):
    """Mean absolute difference of features, one weight a block."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None, weights: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)) -> None:
        """Take torchvision's ``vgg16_bn`` file; none leaves random features (only tests want them).

        Raises:
            TrainingError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
        """
        super().__init__()
        self.register_buffer("mean", imagenet.mean())
        self.register_buffer("std", imagenet.deviation())
        self.features, self._compared = _features()
        self._weights = weights
        if path is not None:
            own = self.features.state_dict()
            found = {key.removeprefix("features."): value for key, value in started.read(path).items()}
            started.fill(self.features, {key: found[key] for key in own if key in found}, path)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> VggDistance:
        """Stay as it is: a judge does not learn."""
        return super().train(False)

    def forward(self, own: Tensor, wanted: Tensor) -> Tensor:
        """Return the distance of sRGB pictures ``(N, 3, H, W)`` 0..1, a scalar."""
        x = (torch.cat([own, wanted]) - self.mean) / self.std
        total = x.new_zeros(())
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self._compared:
                first, second = x.chunk(2)
                total = total + self._weights[self._compared.index(number)] * functional.l1_loss(first, second.detach())
        return total


def _features() -> tuple[nn.Sequential, list[int]]:
    layers: list[nn.Module] = []
    compared, inputs = [], 3
    for channels, count in _BLOCKS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        compared.append(len(layers))
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            inputs = channels
    return nn.Sequential(*layers), compared
