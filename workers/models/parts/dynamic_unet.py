"""The decoder blocks of fastai's dynamic U-Net under spectral norm.

DeOldify, DDColor and ColorFormer build on them. Upscaling is sub-pixel convolution (Shi and others, 2016), followed by
the blur that takes out its checkerboard (Sugawara and others, 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts.spectral import SpectralConv


def conv_relu_norm(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 convolution, its ReLU and then its BatchNorm, in this order."""
    return nn.Sequential(SpectralConv(inputs, outputs, 3, bias=False), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs))


def conv_relu_twice(channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions with bias, each with a ReLU: the inner part of a residual block."""
    pairs = [(SpectralConv(channels, channels, 3, bias=True), nn.ReLU(inplace=True)) for _ in range(2)]
    return nn.Sequential(*[nn.Sequential(*pair) for pair in pairs])


class ShuffleUp(nn.Module):
    """Upscales: ``conv``, ReLU, pixel shuffle, blur.

    Args:
        conv: A 1x1 convolution (and what follows it before the ReLU) to ``scale ** 2`` times the channels that go out.
        scale: The factor on height and width.
    """

    def __init__(self, *conv: nn.Module, scale: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*conv)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, scale * H, scale * W)`` of ``(N, C', H, W)``."""
        larger = functional.pixel_shuffle(torch.relu_(self.conv(x)), self.scale)
        return functional.avg_pool2d(functional.pad(larger, (1, 0, 1, 0), mode="replicate"), 2, 1)


class UpBlock(nn.Module):
    """Doubles a map's size and joins it with a skip from the encoder.

    Args:
        inputs: Channels of the map.
        skip: Channels of the skip.
        up: Channels of the map once it is doubled.
        outputs: Channels that go out.
        names: Names of the 3x3 convolutions behind, as checkpoints call them: the wide block has one, the deep one two.
        tail: What follows the last of them, as its next child.
    """

    def __init__(
        self,
        inputs: int,
        skip: int,
        up: int,
        outputs: int,
        *,
        names: Sequence[str] = ("conv",),
        tail: nn.Module | None = None,
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(4 * up)
        self.shuf = ShuffleUp(SpectralConv(inputs, 4 * up, 1, bias=False), norm, scale=2)
        self.bn = nn.BatchNorm2d(skip)
        self._names = tuple(names)
        for name, channels in zip(names, [up + skip, outputs], strict=False):
            convolution = conv_relu_norm(channels, outputs)
            self.add_module(name, convolution)
        if tail is not None:
            convolution.append(tail)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)`` at the skip's size, which is near twice that of ``x``."""
        larger: Tensor = self.shuf(x)
        if larger.shape[-2:] != skip.shape[-2:]:
            larger = functional.interpolate(larger, skip.shape[-2:], mode="nearest")
        features = torch.relu_(torch.cat([larger, self.bn(skip)], dim=1))
        for name in self._names:
            features = self.get_submodule(name)(features)
        return features


def wide_blocks(encoder: Sequence[int]) -> list[UpBlock]:
    """Return the three blocks of DDColor and ColorFormer, from an encoder's widths (finest first) to 256 channels."""
    first, second, third, last = encoder
    return [UpBlock(last, third, 512, 512), UpBlock(512, second, 512, 512), UpBlock(512, first, 256, 256)]


def last_shuffle() -> ShuffleUp:
    """Return what brings the 256 channels of ``wide_blocks`` from a quarter of the size to the whole."""
    return ShuffleUp(SpectralConv(256, 16 * 256, 1, bias=True), scale=4)
