"""Convolutions under spectral norm, in the old layout of published checkpoints.

Spectral Normalization for Generative Adversarial Networks (Miyato and others, 2018): a kernel, seen as a matrix of one
row for each output channel, is divided by an estimate of its largest singular value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_MANY_CHANNELS, _GROUP = 512, 128
"""From so many channels on, products are summed in groups of so many.

Some processors' kernels add thousands of products in one chain, and attention with large scores magnifies what that
rounds off. Groups take a tenth longer and round off a third as much.
"""


class SpectralConv(nn.Module):
    """A convolution of stride 1 that keeps the size; entries ``bias``, ``weight_orig``, ``weight_u``, ``weight_v``.

    sigma = u . (W v), with the vectors as they are stored: in eval mode nothing is estimated anew. In training mode
    every call first moves the vectors by one step of power iteration.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel_px: Side of the kernel, odd.
        bias: Whether there is one.
        axes: 2 for maps ``(N, C, H, W)``, 1 for sequences ``(N, C, L)``.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel_px: int, *, bias: bool, axes: int = 2) -> None:
        super().__init__()
        weight = torch.empty(outputs, inputs, *[kernel_px] * axes)
        reach = 1 / math.sqrt(weight[0].numel())
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-reach, reach)) if bias else None
        self.weight_orig = nn.Parameter(weight.uniform_(-reach, reach))
        self.register_buffer("weight_u", functional.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", torch.empty(weight[0].numel()))
        self._iterate()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, ...)`` of ``(N, inputs, ...)``, the same size."""
        if self.training:
            self._iterate()
        sigma = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return _convolve(x, self.weight_orig / sigma, self.bias)

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.flatten(1)
        # New tensors: autograd may still hold those of an earlier call.
        self.weight_v = functional.normalize(torch.mv(matrix.t(), self.weight_u), dim=0)
        self.weight_u = functional.normalize(torch.mv(matrix, self.weight_v), dim=0)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    convolution = functional.conv1d if weight.ndim == 3 else functional.conv2d
    padding = weight.shape[-1] // 2
    if padding == 0 or weight.shape[1] < _MANY_CHANNELS:
        return convolution(x, weight, bias, padding=padding)
    parts, kernels = torch.split(x, _GROUP, dim=1), torch.split(weight, _GROUP, dim=1)
    total = convolution(parts[0], kernels[0], bias, padding=padding)
    for part, kernel in zip(parts[1:], kernels[1:], strict=True):
        total += convolution(part, kernel, padding=padding)
    return total
