"""BigGAN's generator, its discriminator as a maker of features, an encoder to match.

Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock, Donahue and Simonyan, 2019), for pictures of
256 x 256 pixels; the encoder is that of Towards Vivid and Diverse Image Colorization with Generative Color Prior (Wu
and others, 2021). Attention is that of Self-Attention Generative Adversarial Networks (Zhang and others, 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000
LATENT = 120
_EMBEDDING = 128
_CHUNK = 17
"""Numbers of the latent vector that each block of the generator sees."""

Conv = Callable[..., nn.Module]
"""Makes a convolution of channels in, channels out and kernel; ``bias=False`` leaves its bias out."""
Linear = Callable[[int, int], nn.Module]
"""Makes a linear layer without bias."""


class GeneratorOutput(NamedTuple):
    """What the generator makes: an RGB picture ``(N, 3, S, S)`` -1..1, and maps of S / 4, S / 2 and S."""

    picture: Tensor
    quarter: Tensor
    half: Tensor
    full: Tensor


# -- spectral norm


class SpectralWeight(nn.Module):
    """A weight divided by an estimate of its largest singular value, in the layout of published BigGANs.

    Every use takes one step of power iteration from ``u0`` as it is stored, and stores nothing. ``sv0``, a record of
    the training, is never read.
    """

    u0: Tensor

    def __init__(self, *shape: int, bias: bool = True) -> None:
        super().__init__()
        reach = torch.Size(shape[1:]).numel() ** -0.5
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(shape[0]).uniform_(-reach, reach)) if bias else None
        self.register_buffer("u0", torch.randn(1, shape[0]))
        self.register_buffer("sv0", torch.ones(1))

    def sigma(self) -> Tensor:
        """Return the divisor, 0-D."""
        matrix = self.weight.flatten(1)
        right = functional.normalize(self.u0 @ matrix)
        image = right @ matrix.t()
        return (image @ functional.normalize(image).t()).squeeze()

    def spectral_weight(self) -> Tensor:
        """Return the weight as it is used."""
        return self.weight / self.sigma()


class SpectralConv2d(SpectralWeight):
    """A convolution of stride 1 that keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel_px: int, *, bias: bool = True) -> None:
        super().__init__(outputs, inputs, kernel_px, kernel_px, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)`` of ``(N, inputs, H, W)``."""
        return functional.conv2d(x, self.spectral_weight(), self.bias, padding=self.weight.shape[-1] // 2)


class SpectralLinear(SpectralWeight):
    """A linear layer."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(outputs, inputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)`` of ``(N, inputs)``."""
        return functional.linear(x, self.spectral_weight(), self.bias)


def _plain_conv(inputs: int, outputs: int, kernel_px: int, *, bias: bool = True) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel_px, padding=kernel_px // 2, bias=bias)


def _plain_linear(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs, bias=False)


def _spectral_linear(inputs: int, outputs: int) -> nn.Module:
    return SpectralLinear(inputs, outputs, bias=False)


# -- parts


class BigGanAttention(nn.Module):
    """Each position of a map adds what it finds in the map at half its size."""

    def __init__(self, channels: int, conv: Conv) -> None:
        super().__init__()
        self.theta = conv(channels, channels // 8, 1, bias=False)
        self.phi = conv(channels, channels // 8, 1, bias=False)
        self.g = conv(channels, channels // 2, 1, bias=False)
        self.o = conv(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        query = self.theta(x).flatten(2)
        key = functional.max_pool2d(self.phi(x), 2).flatten(2)
        value = functional.max_pool2d(self.g(x), 2).flatten(2)
        weights = (query.transpose(1, 2) @ key).softmax(dim=-1)
        attention: Tensor = self.o((value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:]))
        return self.gamma * attention + x


class _StoredNorm(nn.Module):
    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def _normalize(self, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """Scale and shift ``(N, C, H, W)`` by ``(N or 1, C)`` once mean and variance are as they were in training."""
        scale = gain * (self.stored_var + 1e-5).rsqrt()
        shift = bias - self.stored_mean * scale
        return x * scale[:, :, None, None] + shift[:, :, None, None]


class ConditionalBatchNorm(_StoredNorm):
    """A BatchNorm whose gain and bias follow a vector."""

    def __init__(self, channels: int, condition: int, linear: Linear) -> None:
        super().__init__(channels)
        self.gain = linear(condition, channels)
        self.bias = linear(condition, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same under ``(N, condition)``."""
        return self._normalize(x, 1 + self.gain(condition), self.bias(condition))


class PlainNorm(_StoredNorm):
    """A BatchNorm with a gain and bias of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        return self._normalize(x, self.gain[None], self.bias[None])


class ConditionalBlock(nn.Module):
    """A residual block under a vector, which may halve or double the size."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        *,
        resample: Literal["halve", "double", "keep"],
        conv: Conv,
        linear: Linear,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.conv1 = conv(inputs, outputs, 3)
        self.conv2 = conv(outputs, outputs, 3)
        self.conv_sc = conv(inputs, outputs, 1) if resample != "keep" or inputs != outputs else nn.Identity()
        self.bn1 = ConditionalBatchNorm(inputs, condition, linear)
        self.bn2 = ConditionalBatchNorm(outputs, condition, linear)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return ``(N, outputs, H', W')`` of ``(N, inputs, H, W)`` under ``(N, condition)``."""
        inner = self.conv1(self._resample(torch.relu_(self.bn1(x, condition))))
        inner = self.conv2(torch.relu_(self.bn2(inner, condition)))
        out: Tensor = inner + self.conv_sc(self._resample(x))
        return out

    def _resample(self, x: Tensor) -> Tensor:
        if self.resample == "halve":
            return functional.avg_pool2d(x, 2)
        return functional.interpolate(x, scale_factor=2, mode="nearest") if self.resample == "double" else x


class _FeatureBlock(nn.Module):
    """A residual block of the discriminator, which halves the size unless it is the last."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, last: bool = False) -> None:
        super().__init__()
        self.first = first
        self.conv1 = SpectralConv2d(inputs, outputs, 3)
        self.conv2 = SpectralConv2d(outputs, outputs, 3)
        if not last:
            self.conv_sc = SpectralConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H / 2, W / 2)`` of ``(N, inputs, H, W)``; never called on the last block."""
        inner = self.conv2(torch.relu_(self.conv1(x if self.first else torch.relu(x))))
        if self.first:
            shortcut: Tensor = self.conv_sc(functional.avg_pool2d(x, 2))
        else:
            shortcut = functional.avg_pool2d(self.conv_sc(x), 2)
        return functional.avg_pool2d(inner, 2) + shortcut


# -- networks


class BigGanEncoder(nn.Module):
    """Returns the latent vector that a grey picture and its class stand for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shared = nn.Embedding(CLASSES, _EMBEDDING)
        channels = [1, *(width * times for times in (1, 2, 4, 8, 8, 16, 16))]
        self.blocks = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            resample: Literal["halve", "keep"] = "halve" if index < 6 else "keep"
            block = ConditionalBlock(
                inputs, outputs, _EMBEDDING, resample=resample, conv=_plain_conv, linear=_plain_linear
            )
            self.blocks.append(nn.ModuleList([block, BigGanAttention(outputs, _plain_conv)] if index == 1 else [block]))
        self.linear = nn.Linear(channels[-1], LATENT)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """Return ``(N, 120)`` of L ``(N, 1, S, S)``, -1..1, and class numbers ``(N)``."""
        x = _run_blocks(self.blocks, x, [self.shared(classes)] * len(self.blocks))[-1]
        out: Tensor = self.linear(torch.relu(x).mean(dim=(2, 3)))
        return out


class Generator(nn.Module):
    """Returns a picture, and its maps on the way there, of a latent vector and a class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width * times for times in (16, 16, 8, 8, 4, 2, 1)]
        condition = _EMBEDDING + _CHUNK
        self.shared = nn.Embedding(CLASSES, _EMBEDDING)
        self.linear = SpectralLinear(_CHUNK, channels[0] * 16)
        self.blocks = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            block = ConditionalBlock(
                inputs, outputs, condition, resample="double", conv=SpectralConv2d, linear=_spectral_linear
            )
            self.blocks.append(
                nn.ModuleList([block, BigGanAttention(outputs, SpectralConv2d)] if index == 3 else [block])
            )
        self.output_layer = nn.Sequential(PlainNorm(width), nn.ReLU(inplace=True), SpectralConv2d(width, 3, 3))

    def forward(self, latent: Tensor, classes: Tensor) -> GeneratorOutput:
        """Return what latent vectors ``(N, 120)`` stand for in classes ``(N)``; the last number of each is unused."""
        first, *rest = torch.split(latent[:, : _CHUNK * (len(self.blocks) + 1)], _CHUNK, dim=1)
        embedding = self.shared(classes)
        x = self.linear(first).view(len(latent), -1, 4, 4)
        maps = _run_blocks(self.blocks, x, [torch.cat([embedding, chunk], dim=1) for chunk in rest])
        return GeneratorOutput(torch.tanh(self.output_layer(maps[-1])), *maps[-3:])


class Discriminator(nn.Module):
    """Returns maps that describe a picture. Its blocks from the fourth on, and its judgement, take no part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, *(width * times for times in (1, 2, 4, 8, 8, 16, 16))]
        self.blocks = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            block = _FeatureBlock(inputs, outputs, first=index == 0, last=index == 6)
            self.blocks.append(
                nn.ModuleList([block, BigGanAttention(outputs, SpectralConv2d)] if index == 1 else [block])
            )
        self.linear = SpectralLinear(channels[-1], 1)
        self.embed = SpectralWeight(CLASSES, channels[-1], bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps of S / 4 and of S / 8 of a picture ``(N, 3, S, S)`` or L ``(N, 1, S, S)``, -1..1."""
        _, quarter, eighth = _run_blocks(self.blocks[:3], x.expand(-1, 3, -1, -1))
        return quarter, eighth


def _run_blocks(blocks: nn.ModuleList, x: Tensor, conditions: list[Tensor] | None = None) -> list[Tensor]:
    """Return the map behind each block, a block being what alone takes the condition and perhaps an attention."""
    maps = []
    for index, layers in enumerate(blocks):
        block, *attention = cast(nn.ModuleList, layers)
        x = block(x, conditions[index]) if conditions else block(x)
        for layer in attention:
            x = layer(x)
        maps.append(x)
    return maps
