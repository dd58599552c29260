"""DeOldify: a U-Net with self-attention that paints a picture anew in colour.

DeOldify (Antic, 2018 to 2019; no paper). Attention is that of Self-Attention Generative Adversarial Networks (Zhang and
others, 2019), the last upscaling is under weight normalization (Salimans and Kingma, 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches, imagenet, lab_planes
from workers.models.parts.dynamic_unet import ShuffleUp, UpBlock, conv_relu_norm, conv_relu_twice
from workers.models.parts.resnet import WIDTHS, BasicBlock, Bottleneck, ResNetEncoder
from workers.models.parts.spectral import SpectralConv
from workers.ops import lab
from workers.ops.resample import Bytes, resize

_NAMES = ("deoldify-artistic", "deoldify-stable", "deoldify-video")
_PX_PER_FACTOR = 16
_FACTORS = range(7, 46)
_REACH = 3
"""Colours are limited to this many deviations of ImageNet around its mean."""
_LUMA = (19595, 38470, 7471)
"""Shares of red, green and blue in 1 / 65536: Pillow's 0.299, 0.587 and 0.114."""


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return ``deoldify-artistic``, or ``deoldify-stable``, which ``deoldify-video`` is too: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name not in _NAMES:
        raise ValueError(f"{', '.join(_NAMES)} are the networks of this module, not {name}")
    return (_build_artistic() if name == "deoldify-artistic" else _build_stable()).eval()


def chroma(network: nn.Module, pictures: Tensor, *, render_factor: int = 35) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, S, S)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1.

    Args:
        network: What ``build`` returns.
        pictures: Any size; their colour is not looked at.
        render_factor: S / 16, from 7 to 45; a picture is stretched to S x S. The published program takes 35 for photos
            and 21 for film.

    Raises:
        ValueError: ``render_factor`` is out of range.
    """
    return lab.rgb_to_lab(_paint(network, lab_planes.to_eight_bit(pictures), render_factor))[:, 1:]


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes, *, render_factor: int = 35) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the published program makes of one, without its watermark.

    Raises:
        ValueError: ``render_factor`` is out of range.
    """
    levels = _paint(network, [picture], render_factor)[0] * 255
    square = np.ascontiguousarray(levels.permute(1, 2, 0).to(torch.uint8).cpu().numpy())
    yuv = cv2.cvtColor(resize(square, picture.shape[0], picture.shape[1], "bilinear"), cv2.COLOR_RGB2YUV)
    yuv[..., 0] = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV)[..., 0]
    return cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB).astype(np.uint8, copy=False)


def _paint(network: nn.Module, pictures: Sequence[Bytes], render_factor: int) -> Tensor:
    """Return the network's own sRGB pictures ``(N, 3, S, S)`` float32 0..1."""
    if render_factor not in _FACTORS:
        raise ValueError(f"render_factor is {_FACTORS[0]} to {_FACTORS[-1]}, not {render_factor}")
    side_px, mean, deviation = _PX_PER_FACTOR * render_factor, imagenet.mean(), imagenet.deviation()
    grays = [lab_planes.to_unit_range(_to_gray(resize(picture, side_px, side_px, "bilinear"))) for picture in pictures]
    out = batches.predict(network, [[(gray - mean) / deviation] for gray in grays], network).float()
    return (out * deviation.to(out.device) + mean.to(out.device)).clamp(0, 1)


def _to_gray(picture: Bytes) -> Bytes:
    """Return an 8-bit picture ``(H, W, 3)`` without colour, by luma in whole numbers."""
    luma: Bytes = ((picture.astype(np.int64) @ np.array(_LUMA) + (1 << 15)) >> 16).astype(np.uint8)
    return luma[..., None].repeat(3, axis=2)


# -- the network


class DeOldify(nn.Module):
    """RGB in, RGB out, both normalised as ImageNet's are.

    Args:
        encoder: A ResNet.
        coarsest: Channels of its last map.
        blocks: Four blocks that double the size, coarsest first.
        finest: Channels of the last block.
    """

    def __init__(self, encoder: ResNetEncoder, coarsest: int, blocks: Sequence[UpBlock], finest: int) -> None:
        super().__init__()
        middle = nn.Sequential(conv_relu_norm(coarsest, 2 * coarsest), conv_relu_norm(2 * coarsest, coarsest))
        channels = finest + 3
        self.layers = nn.Sequential(
            encoder,
            nn.BatchNorm2d(coarsest),
            nn.ReLU(inplace=True),
            middle,
            *blocks,
            ShuffleUp(_WeightNormConv(finest, 4 * finest), scale=2),
            nn.Identity(),  # here the network's input is joined
            _Residual(channels),
            nn.Sequential(SpectralConv(channels, 3, 1, bias=True)),
            _LimitRange(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return colours ``(N, 3, H, W)`` in deviations of ImageNet, -3..3, of grey ones; sides are even."""
        encoder, norm, relu, middle, *blocks, shuffle, _, residual, colors, limit = self.layers
        maps = encoder(x)
        inner = middle(relu(norm(maps.pop())))
        for block in blocks:
            inner = block(inner, maps.pop())
        inner = residual(torch.cat([shuffle(inner), x], dim=1))
        out: Tensor = limit(colors(inner))
        return out


def _build_artistic() -> DeOldify:
    """Return the deep decoder on ResNet-34."""
    inputs, blocks = WIDTHS[-1], []
    for index, skip in enumerate([WIDTHS[2], WIDTHS[1], WIDTHS[0], WIDTHS[0]]):
        up = inputs // 2
        # The last block halves before it widens, and rounds down in between.
        outputs = int(1.5 * ((up + skip) // 2 if index == 3 else up + skip))
        tail = _SelfAttention(outputs) if index == 1 else None
        blocks.append(UpBlock(inputs, skip, up, outputs, names=("conv1", "conv2"), tail=tail))
        inputs = outputs
    return DeOldify(ResNetEncoder(BasicBlock, (3, 4, 6, 3)), WIDTHS[-1], blocks, inputs)


def _build_stable() -> DeOldify:
    """Return the wide decoder on ResNet-101."""
    coarsest, third, second, first = (width * Bottleneck.expansion for width in reversed(WIDTHS))
    blocks = [
        UpBlock(coarsest, third, 512, 512),
        UpBlock(512, second, 512, 512, tail=_SelfAttention(512)),
        UpBlock(512, first, 512, 512),
        UpBlock(512, WIDTHS[0], 256, 256),
    ]
    return DeOldify(ResNetEncoder(Bottleneck, (3, 4, 23, 3)), coarsest, blocks, 256)


class _SelfAttention(nn.Module):
    """Adds to every pixel what the others hold; a softmax runs over the pixels that ask, not over those asked."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query = SpectralConv(channels, channels // 8, 1, bias=False, axes=1)
        self.key = SpectralConv(channels, channels // 8, 1, bias=False, axes=1)
        self.value = SpectralConv(channels, channels, 1, bias=False, axes=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape ``(N, C, H, W)``."""
        pixels = x.flatten(2)
        shares = torch.softmax(self.query(pixels).transpose(1, 2) @ self.key(pixels), dim=1)
        out: Tensor = self.gamma * (self.value(pixels) @ shares) + pixels
        return out.reshape(x.shape)


class _WeightNormConv(nn.Module):
    """A 1x1 convolution whose kernels have a length of their own; entries ``bias``, ``weight_g``, ``weight_v``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        reach = 1 / math.sqrt(inputs)
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-reach, reach))
        direction = torch.empty(outputs, inputs, 1, 1).uniform_(-reach, reach)
        self.weight_g = nn.Parameter(_kernel_norms(direction))
        self.weight_v = nn.Parameter(direction)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)`` of ``(N, inputs, H, W)``."""
        return functional.conv2d(x, self.weight_v * (self.weight_g / _kernel_norms(self.weight_v)), self.bias)


def _kernel_norms(kernels: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(kernels, dim=(1, 2, 3), keepdim=True)
    return lengths


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = conv_relu_twice(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        out: Tensor = self.layers(x) + x
        return out


class _LimitRange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Return numbers that may be any as ones within -3..3."""
        return 2 * _REACH * torch.sigmoid(x) - _REACH
