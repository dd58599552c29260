"""ColorFormer: a hybrid transformer with a memory of typical colours.

ColorFormer: Image Colorization via Color Memory Assisted Hybrid-Attention Transformer (Ji and others, 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from workers.models.parts import batches, imagenet, lab_planes
from workers.models.parts.dynamic_unet import conv_relu_twice, last_shuffle, wide_blocks
from workers.models.parts.spectral import SpectralConv
from workers.models.parts.swin import Swin, SwinMlp
from workers.ops import lab
from workers.ops.resample import Bytes

_SIDE_PX = 256
_WIDTHS = (96, 192, 384, 768)
_DEPTHS, _HEADS, _GRIDS = (2, 2, 6, 2), (3, 6, 12, 24), (8, 4, 2, 1)
_CHANNELS = 256
_SLOTS, _SEMANTIC, _KEY, _GROUPS = 512, 64, 512, 4
_LEVELS = 256
"""Values that a and b have in the memory: whole numbers, plus 128."""


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return the network ``colorformer``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "colorformer":
        raise ValueError(f"colorformer is the network of this module, not {name}")
    return ColorFormer().eval()


def chroma(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, 256, 256)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1."""
    return _ab(network, [_light(picture) for picture in lab_planes.to_eight_bit(pictures)])


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes) -> Bytes:
    """Return the 8-bit sRGB picture ``(256, 256, 3)`` that the published program makes of one; it has no other size."""
    light = _light(picture)
    levels = lab.lab_to_rgb(torch.cat([light, _ab(network, [light]).cpu()], dim=1)) * 255
    return np.ascontiguousarray(levels[0].permute(1, 2, 0).round().to(torch.uint8).numpy())


def _light(picture: Bytes) -> Tensor:
    """Return L ``(1, 1, 256, 256)`` float32, 0..100, of an 8-bit picture that is stretched to the square."""
    square = cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return lab_planes.lightness(square.astype(np.uint8, copy=False))


def _ab(network: nn.Module, lights: Sequence[Tensor]) -> Tensor:
    nothing = torch.zeros(1, 2, _SIDE_PX, _SIDE_PX)
    grays = [[lab.lab_to_rgb(torch.cat([light, nothing], dim=1))] for light in lights]
    return batches.predict(network, grays, network).float()


# -- the network


class ColorFormer(nn.Module):
    """An encoder that sees windows and the whole, a decoder with a memory of colours, and what joins both with it."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", imagenet.mean())
        self.register_buffer("std", imagenet.deviation())
        self.encoder = nn.ModuleDict({"arch": Swin(_WIDTHS[0], _DEPTHS, _HEADS, _GRIDS)})
        self.seg_decoder = _Decoder()
        channels = _CHANNELS + 3
        self.refine_net = nn.Sequential(_Residual(channels), nn.Sequential(SpectralConv(channels, 2, 3, bias=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Return a and b of Lab ``(N, 2, H, W)`` for grey sRGB ``(N, 3, H, W)`` 0..1, sides multiples of 32."""
        net_input = (x - self.mean) / self.std
        maps, shares = self.encoder["arch"](net_input)
        out: Tensor = self.refine_net(torch.cat([self.seg_decoder(maps, shares), net_input], dim=1))
        return out


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([*wide_blocks(_WIDTHS), _ColorMemory()])
        self.last_shuf = last_shuffle()

    def forward(self, maps: list[Tensor], shares: Tensor) -> Tensor:
        """Return ``(N, 256, H, W)`` of the encoder's maps and of the shares of the memory's groups ``(N, 4)``."""
        *blocks, memory = self.layers
        x = maps[-1]
        for block, skip in zip(blocks, maps[-2::-1], strict=True):
            x = block(x, skip)
        out: Tensor = self.last_shuf(memory(x, shares))
        return out


class _ColorMemory(nn.Module):
    """Slots whose keys are meanings and whose values are colours, four of them, one for each group of pictures."""

    def __init__(self) -> None:
        super().__init__()
        for group in range(1, _GROUPS + 1):
            # Whole numbers, and yet parameters: so the checkpoint counts them.
            centers = nn.Parameter(torch.randint(_LEVELS, (_SLOTS, 2)), requires_grad=False)
            self.register_parameter(f"color_center{group}", centers)
        self.semantic_centers = nn.Parameter(torch.randn(_SLOTS, _SEMANTIC), requires_grad=False)
        self.a_embed = nn.Embedding(_LEVELS, _CHANNELS)
        self.b_embed = nn.Embedding(_LEVELS, _CHANNELS)
        for group in range(1, _GROUPS + 1):
            self.add_module(f"color_embed{group}", nn.Linear(2 * _CHANNELS, _CHANNELS))
        self.semantic_embed = nn.Linear(_SEMANTIC, _KEY)
        self.proj_q = nn.Linear(_CHANNELS, _KEY)
        self.norm1 = nn.LayerNorm(_CHANNELS)
        self.norm2 = nn.LayerNorm(2 * _CHANNELS)
        self.norm3 = nn.LayerNorm(2 * _CHANNELS)
        self.mlp = SwinMlp(2 * _CHANNELS, 2 * _CHANNELS)
        self.last_conv = nn.Conv2d(2 * _CHANNELS, _CHANNELS, 1)

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """Return a map of the same shape ``(N, 256, H, W)`` that knows the colours which its places remind of."""
        places = x.flatten(2).transpose(1, 2)
        scores = self.proj_q(self.norm1(places)) @ self.semantic_embed(self.semantic_centers).t()
        prior = scores.softmax(dim=-1) @ self._values(shares)
        features = self.norm2(torch.cat([places, prior], dim=-1))
        features = self.norm3(features + self.mlp(features))
        out: Tensor = self.last_conv(features.transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))
        return out

    def _values(self, shares: Tensor) -> Tensor:
        """Return each picture's mean of what the groups hold, ``(N, slots, 256)``."""
        values = []
        for group in range(1, _GROUPS + 1):
            a, b = self.get_parameter(f"color_center{group}").unbind(1)
            colors = torch.cat([self.a_embed(a), self.b_embed(b)], dim=-1)
            values.append(self.get_submodule(f"color_embed{group}")(colors))
        return torch.einsum("ng,gsc->nsc", shares, torch.stack(values))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = conv_relu_twice(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        out: Tensor = self.layer(x) + x
        return out
