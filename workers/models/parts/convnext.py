"""ConvNeXt as an encoder of four normalised maps.

A ConvNet for the 2020s (Liu and others, 2022), in the form that DDColor uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel of a map ``(N, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, _EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        pixels: Tensor = nn.LayerNorm.forward(self, x.permute(0, 2, 3, 1))
        return pixels.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7 convolution and two pixelwise layers, around which the input is carried on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), _EPS))
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, _EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        pixels = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        pixels = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(pixels)))
        out: Tensor = x + pixels.permute(0, 3, 1, 2)
        return out


class ConvNeXt(nn.Module):
    """The encoder.

    Args:
        depths: Blocks of the four stages.
        widths: Channels of the four stages.
    """

    def __init__(self, depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0]))
        steps = [
            nn.Sequential(ChannelNorm(inputs), nn.Conv2d(inputs, outputs, 2, stride=2))
            for inputs, outputs in pairwise(widths)
        ]
        self.downsample_layers = nn.ModuleList([stem, *steps])
        self.stages = nn.ModuleList(
            nn.Sequential(*[ConvNeXtBlock(width) for _ in range(depth)])
            for depth, width in zip(depths, widths, strict=True)
        )
        for stage, width in enumerate(widths):
            self.add_module(f"norm{stage}", ChannelNorm(width))
        # The classifier's norm lies in the checkpoints, and nothing here reads it.
        self.norm = nn.LayerNorm(widths[-1], _EPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps at 1/4, 1/8, 1/16 and 1/32 of normalised RGB ``(N, 3, H, W)``, sides multiples of 32."""
        maps = []
        for index, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            maps.append(cast(Tensor, self.get_submodule(f"norm{index}")(x)))
        return maps
