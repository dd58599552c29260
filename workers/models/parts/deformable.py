"""Modulated deformable convolution.

Deformable ConvNets v2: More Deformable, Better Results (Zhu and others, 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

_TAPS = 9


class DeformableConv(nn.Module):
    """A 3x3 convolution of stride 1 whose taps are shifted and weighed pixel by pixel, as another map asks for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3).uniform_(-1, 1) / (3 * channels**0.5))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv_offset = nn.Conv2d(channels, 3 * _TAPS, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same, shifted as ``condition`` ``(N, C, H, W)`` asks for.

        The first 18 channels asked for are shifts in pixels, down and right for each tap, row by row; the last 9 weigh.
        """
        offsets: Tensor = self.conv_offset(condition)
        # The operator turns shifts into addresses unchecked: weights that blow up must not lead it out of the picture.
        # Farther than the picture is large, every tap reads 0 anyway.
        reach = max(x.shape[-2:]) + 2
        shifts = offsets[:, : 2 * _TAPS].nan_to_num(0).clamp(-reach, reach)
        masks = offsets[:, 2 * _TAPS :].sigmoid()
        out: Tensor = deform_conv2d(x, shifts, self.weight, self.bias, padding=1, mask=masks)
        return out
