"""The colorizer of this project: EfficientNet-Lite down, a light decoder up, colours as bins' shares.

The encoder is laid out as EfficientNet-Lite2 (Tan and Le 2019), so that a classifier of photos can start it. The head
says how likely each of a grid of ab bins is at a quarter of the size (Zhang, Isola, Efros 2016); an annealed mean makes
one colour of them. Colours at half the size are mixed of their nine neighbours', in shares that the network reads from
the light (as Teed and Deng 2020 do with motion): so they end where the picture's edges are. Bins, their number and the
temperature are part of the weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches, lab_planes
from workers.models.parts.efficientnet_lite import HEAD, Trunk, normalize_levels
from workers.ops import lab
from workers.ops.resample import Bytes

_STEP = 32
"""Sides of what the network sees are multiples of this many pixels."""
_SIDE_PX = 224
"""Side of a square as large as what the network sees of a picture."""
_LONGEST = 4
"""A picture longer than this many times its short side is squeezed to it."""
_BINS = 313
"""Places for bins; a training that needs fewer leaves the rest unlikely."""
_DROPOUT = 0.2


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return the network ``lite-unet``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "lite-unet":
        raise ValueError(f"lite-unet is the network of this module, not {name}")
    return LiteUNet().eval()


def chroma(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, h, w)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1."""
    light = resize_for_network(lab.lightness(pictures.float()))
    return batches.predict(network, [[one[None]] for one in light], network)


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the network makes of one, at its own size, rounded."""
    planes = lab_planes.to_unit_range(picture)
    rgb = lab.merge_chroma(lab.lightness(planes), chroma(network, planes).cpu())
    return lab_planes.to_eight_bit(rgb)[0]


def resize_for_network(light: Tensor) -> Tensor:
    """Return L ``(N, 1, h, w)`` as large as the network wants it, for L ``(N, 1, H, W)``; proportions are kept."""
    height, width = light.shape[-2:]
    ratio = min(max(width / height, 1 / _LONGEST), _LONGEST)
    size = (_round_to_step(_SIDE_PX / math.sqrt(ratio)), _round_to_step(_SIDE_PX * math.sqrt(ratio)))
    return functional.interpolate(light, size=size, mode="bilinear", antialias=True)


def _round_to_step(length: float) -> int:
    return max(_STEP, round(length / _STEP) * _STEP)


# -- the network


class LiteUNet(nn.Module):
    """L in, a and b at half its size out."""

    bins: Tensor
    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk("lite2", inputs=1)
        first, second, third, _, fifth, _, last = self.trunk.channels
        self.top = nn.Conv2d(last, HEAD, 1, bias=False)
        self.top_norm = nn.BatchNorm2d(HEAD, eps=1e-3)
        self.scene = nn.Sequential(_squeeze_conv(HEAD, 384), ResidualConv(384), ResidualConv(384))
        self.mood = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(HEAD, 384))
        self.middle = nn.Sequential(_squeeze_conv(384 + fifth, 256), ResidualConv(256), ResidualConv(256))
        self.fine = nn.Sequential(_squeeze_conv(256 + third, 160), ResidualConv(160), ResidualConv(160))
        self.finest = nn.Sequential(_squeeze_conv(160 + second + 4 * first, 96), ResidualConv(96), ResidualConv(96))
        self.head = nn.Conv2d(96, _BINS, 1)
        self.shares = nn.Conv2d(96, 4 * 9, 1)
        self.drop = nn.Dropout2d(_DROPOUT)
        self.register_buffer("bins", torch.zeros(_BINS, 2))
        self.register_buffer("temperature", torch.tensor(0.38))

    def forward(self, light: Tensor) -> Tensor:
        """Return ab ``(N, 2, H/2, W/2)`` in units of Lab for L ``(N, 1, H, W)`` 0..100, sides multiples of 32."""
        logits, shares = self.logits(light)
        return self.colors(logits, shares)

    def colors(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Return ab ``(N, 2, 2h, 2w)`` of bins' logits ``(N, Q, h, w)`` and neighbours' ``(N, 36, h, w)``."""
        coarse = self.mean(logits)
        count, _, height, width = coarse.shape
        around = functional.unfold(functional.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3)
        around = around.view(count, 2, 9, 1, height, width)
        weight = shares.float().view(count, 1, 9, 4, height, width).softmax(dim=2)
        mixed = (around * weight).sum(dim=2).reshape(count, 8, height, width)
        return functional.pixel_shuffle(mixed, 2)

    def mean(self, logits: Tensor) -> Tensor:
        """Return the annealed mean of the bins ``(N, 2, h, w)`` of their logits ``(N, Q, h, w)``."""
        likely = (logits.float() / self.temperature).softmax(dim=1)
        return torch.einsum("nqhw,qc->nchw", likely, self.bins)

    def logits(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Return how likely each bin is at a quarter of the size ``(N, Q, H/4, W/4)``, and how neighbours are mixed.

        Both are logits; the second are ``(N, 36, H/4, W/4)``, nine neighbours for each of four places.
        """
        stages = self.trunk(normalize_levels(light * 2.55))
        top = functional.relu6(self.top_norm(self.top(stages[6])))
        x = self.scene(self.drop(top)) + self.mood(top.mean(dim=(2, 3)))[:, :, None, None]
        x = self.middle(torch.cat([_double_size(x), stages[4]], dim=1))
        x = self.fine(torch.cat([_double_size(x), stages[2]], dim=1))
        x = self.finest(torch.cat([_double_size(x), stages[1], functional.pixel_unshuffle(stages[0], 2)], dim=1))
        return self.head(x), self.shares(x)


class ResidualConv(nn.Module):
    """What a 3x3 convolution adds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and what is added to it, same shape."""
        return x + functional.relu(self.norm(self.conv(x)))


def _squeeze_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _double_size(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
