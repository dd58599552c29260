"""ResNets as encoders that give a map of each size, in torchvision's layout.

Deep Residual Learning for Image Recognition (He and others, 2015); the bottleneck's stride is on its 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
"""Channels inside the blocks of the four stages."""
_SKIPS = (2, 4, 5, 6, 7)
"""Children whose maps are given: the first ReLU, then each stage."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is carried on."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, width, H / stride, W / stride)``."""
        inner = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(inner)) + self.downsample(x))


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution around which the input is carried on; four times as wide outside as inside."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 4 * width, H / stride, W / stride)``."""
        inner = torch.relu_(self.bn1(self.conv1(x)))
        inner = torch.relu_(self.bn2(self.conv2(inner)))
        return torch.relu_(self.bn3(self.conv3(inner)) + self.downsample(x))


class ResNetEncoder(nn.Sequential):
    """A ResNet without its pooling and classifier; the children are numbered.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: Blocks of the four stages.
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: Sequence[int]) -> None:
        first = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        super().__init__(first, nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))
        inputs = WIDTHS[0]
        for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True)):
            strides = [2 if stage else 1] + [1] * (depth - 1)
            blocks = []
            for stride in strides:
                blocks.append(block(inputs, width, stride))
                inputs = width * block.expansion
            self.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of normalised RGB ``(N, 3, H, W)``, sides rounded up."""
        maps = []
        for index, child in enumerate(self):
            x = child(x)
            if index in _SKIPS:
                maps.append(x)
        return maps


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return what brings a block's input to its output's shape; empty where they agree."""
    if inputs == outputs and stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
