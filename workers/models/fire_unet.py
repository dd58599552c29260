"""A small colorizer of this project: SqueezeNet's fire modules down, a light decoder up, colours as bins' shares.

The encoder is laid out as SqueezeNet 1.0 (Iandola et al. 2016), so that a classifier of photos can start it; the head
says how likely each of a grid of ab bins is at a quarter of the size (Zhang, Isola, Efros 2016), and an annealed mean
makes one colour of them. Bins, their number and the temperature are part of the weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models import batches, lab_planes
from workers.models.squeezenet import Fire
from workers.ops import lab
from workers.ops.resample import Bytes

_STEP = 16
"""Sides of what the network sees are multiples of this many pixels."""
_SIDE_PX = 192
"""Side of a square as large as what the network sees of a picture."""
_LONGEST = 4
"""A picture longer than this many times its short side is squeezed to it."""
_BINS = 313
"""Places for bins; a training that needs fewer leaves the rest unlikely."""


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return the network ``fire-unet``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "fire-unet":
        raise ValueError(f"fire-unet is the network of this module, not {name}")
    return FireUNet().eval()


def chroma(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, h, w)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1."""
    light = seen(lab.lightness(pictures.float()))
    return batches.predicted(network, [[one[None]] for one in light], network)


@torch.inference_mode()
def published(network: nn.Module, picture: Bytes) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the network makes of one, at its own size, rounded."""
    planes = lab_planes.unit_range(picture)
    coloured = lab.joined(lab.lightness(planes), chroma(network, planes).cpu())
    return lab_planes.eight_bit(coloured)[0]


def seen(light: Tensor) -> Tensor:
    """Return L ``(N, 1, h, w)`` as large as the network wants it, for L ``(N, 1, H, W)``; proportions are kept."""
    height, width = light.shape[-2:]
    ratio = min(max(width / height, 1 / _LONGEST), _LONGEST)
    size = (_fitting(_SIDE_PX / math.sqrt(ratio)), _fitting(_SIDE_PX * math.sqrt(ratio)))
    return functional.interpolate(light, size=size, mode="bilinear", antialias=True)


def _fitting(length: float) -> int:
    return max(_STEP, round(length / _STEP) * _STEP)


# -- the network


class FireUNet(nn.Module):
    """L in, a and b at a quarter of its size out."""

    bins: Tensor
    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 2, padding=1)
        self.features = nn.Sequential(
            nn.Conv2d(1, 96, 7, stride=2, padding=3), nn.ReLU(inplace=True), pool,
            Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool,
            Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool,
            Fire(512, 64, 256),
        )  # fmt: skip
        self.scene = nn.Sequential(_squeezed(512, 256), Residual(256), Residual(256))
        self.mood = nn.Linear(256, 256)
        self.middle = nn.Sequential(_squeezed(256 + 512, 128), Residual(128), Residual(128))
        self.fine = nn.Sequential(_squeezed(128 + 256, 64), Residual(64), Residual(64))
        self.head = nn.Conv2d(64, _BINS, 1)
        self.register_buffer("bins", torch.zeros(_BINS, 2))
        self.register_buffer("temperature", torch.tensor(0.38))

    def forward(self, light: Tensor) -> Tensor:
        """Return ab ``(N, 2, H/4, W/4)`` in units of Lab for L ``(N, 1, H, W)`` 0..100, sides multiples of 16."""
        return self.mean(self.logits(light))

    def mean(self, logits: Tensor) -> Tensor:
        """Return the annealed mean of the bins ``(N, 2, h, w)`` of their logits ``(N, Q, h, w)``."""
        shares = (logits.float() / self.temperature).softmax(dim=1)
        return torch.einsum("nqhw,qc->nchw", shares, self.bins)

    def logits(self, light: Tensor) -> Tensor:
        """Return how likely each bin is, as logits ``(N, Q, H/4, W/4)``."""
        x = light * 2.55 - 117
        kept: dict[int, Tensor] = {}
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in (5, 10):
                kept[number] = x
        x = self.scene(x)
        x = x + self.mood(x.mean(dim=(2, 3)))[:, :, None, None]
        x = self.middle(torch.cat([_doubled(x), kept[10]], dim=1))
        x = self.fine(torch.cat([_doubled(x), kept[5]], dim=1))
        out: Tensor = self.head(x)
        return out


class Residual(nn.Module):
    """What a 3x3 convolution adds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and what is added to it, same shape."""
        return x + functional.relu(self.norm(self.conv(x)))


def _squeezed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
