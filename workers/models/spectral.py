"""Convolutions under spectral norm, stored in the old layout of published checkpoints. ``workers.models`` may import it.

Spectral Normalization for Generative Adversarial Networks (Miyato and others, 2018): a kernel, seen as a matrix of one row
for each output channel, is divided by an estimate of its largest singular value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpectralConv(nn.Module):
    """A convolution of stride 1 that keeps the size; entries ``bias``, ``weight_orig``, ``weight_u``, ``weight_v``.

    sigma = u . (W v), with the vectors as they are stored: in eval mode nothing is estimated anew. In training mode every
    call first moves the vectors by one step of power iteration.

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
        convolution = functional.conv1d if self.weight_orig.ndim == 3 else functional.conv2d
        return convolution(x, self.weight_orig / sigma, self.bias, padding=self.weight_orig.shape[-1] // 2)

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.flatten(1)
        # New tensors: autograd may still hold those of an earlier call.
        self.weight_v = functional.normalize(torch.mv(matrix.t(), self.weight_u), dim=0)
        self.weight_u = functional.normalize(torch.mv(matrix, self.weight_v), dim=0)
