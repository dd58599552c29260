"""Groups of 3x3 convolutions in VGG's manner, as the Berkeley colorizers stack them.

Here the BatchNorm comes after a group's last ReLU, not before it.
"""

from __future__ import annotations

from torch import nn


def group(inputs: int, outputs: int, count: int, *, dilation: int = 1, last_stride: int = 1) -> nn.Sequential:
    """Return ``count`` convolutions that keep the size, each with its ReLU, then a BatchNorm.

    ``last_stride`` is the stride of the last convolution: with 2, sides are halved and rounded up.
    """
    layers: list[nn.Module] = []
    for index in range(count):
        stride = last_stride if index == count - 1 else 1
        width = outputs if index else inputs
        layers += [nn.Conv2d(width, outputs, 3, stride, dilation, dilation), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs))


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the sides."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
