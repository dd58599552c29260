"""DDColor: colour queries read a decoder's maps and become the colours to mix.

DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders (Kang and others, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches, imagenet
from workers.models.parts.convnext import ConvNeXt
from workers.models.parts.dynamic_unet import last_shuffle, wide_blocks
from workers.models.parts.spectral import SpectralConv
from workers.ops.resample import Bytes

_ENCODERS = {
    "ddcolor-large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
    "ddcolor-tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
}
_QUERIES, _CHANNELS, _HEADS, _HIDDEN, _LAYERS = 100, 256, 8, 2048, 9
_SOURCES = (512, 512, 256)
"""Channels of the decoder's maps that the queries read, coarsest first."""
_MULTIPLE_PX = 32
SPARE_KEYS = ("encoder.arch.head_cls.weight", "encoder.arch.head_cls.bias")
"""Entries of some published files that the network does not use: a classifier of four outputs."""


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return ``ddcolor-large`` or ``ddcolor-tiny``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name not in _ENCODERS:
        raise ValueError(f"{' and '.join(_ENCODERS)} are the networks of this module, not {name}")
    depths, widths = _ENCODERS[name]
    return DDColor(depths, widths).eval()


def chroma(network: nn.Module, pictures: Tensor, *, input_size: int = 512) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, S, S)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1.

    Args:
        network: What ``build`` returns.
        pictures: Any size; their colour is not looked at.
        input_size: S, a multiple of 32; a picture is stretched to S x S.

    Raises:
        ValueError: ``input_size`` is no multiple of 32.
    """
    return _ab(network, list(pictures.permute(0, 2, 3, 1).detach().float().cpu().contiguous().numpy()), input_size)


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes, *, input_size: int = 512) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the published program makes of one, at its own size.

    Raises:
        ValueError: ``input_size`` is no multiple of 32.
    """
    rgb = picture.astype(np.float32) / np.float32(255)
    light = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., :1]
    ab = functional.interpolate(_ab(network, [rgb], input_size).cpu(), picture.shape[:2], mode="nearest")
    lab = np.concatenate([light, ab[0].permute(1, 2, 0).numpy()], axis=2)
    out: Bytes = np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255).astype(np.uint8)
    return out


def _ab(network: nn.Module, pictures: Sequence[NDArray[np.float32]], input_size: int) -> Tensor:
    if input_size < _MULTIPLE_PX or input_size % _MULTIPLE_PX:
        raise ValueError(f"input_size is a multiple of {_MULTIPLE_PX} pixels, not {input_size}")
    grays = [[_to_gray(rgb, input_size)] for rgb in pictures]
    return batches.predict(network, grays, network).float()


def _to_gray(rgb: NDArray[np.float32], side_px: int) -> Tensor:
    """Return ``(1, 3, side_px, side_px)`` sRGB of the same L without colour, of sRGB ``(H, W, 3)``."""
    square = cv2.resize(rgb, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB)
    lab[..., 1:] = 0
    return torch.from_numpy(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)).permute(2, 0, 1)[None].contiguous()


# -- the network


class DDColor(nn.Module):
    """An encoder, a pixel decoder, and a colour decoder of queries whose dot products with pixels weigh the colours."""

    mean: Tensor
    std: Tensor

    def __init__(self, depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", imagenet.mean())
        self.register_buffer("std", imagenet.deviation())
        self.encoder = nn.ModuleDict({"arch": ConvNeXt(depths, widths)})
        self.decoder = _Decoder(widths)
        self.refine_net = nn.Sequential(nn.Sequential(SpectralConv(_QUERIES + 3, 2, 1, bias=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Return a and b of Lab ``(N, 2, H, W)`` for grey sRGB ``(N, 3, H, W)`` 0..1, sides multiples of 32."""
        net_input = (x - self.mean) / self.std
        shares: Tensor = self.decoder(self.encoder["arch"](net_input))
        out: Tensor = self.refine_net(torch.cat([shares, net_input], dim=1))
        return out


class _Decoder(nn.Module):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(wide_blocks(widths))
        self.last_shuf = last_shuffle()
        self.color_decoder = _ColorDecoder()

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return what share each query has in each pixel, ``(N, queries, H, W)``, of the encoder's maps."""
        x, sources = maps[-1], []
        for layer, skip in zip(self.layers, maps[-2::-1], strict=True):
            x = layer(x, skip)
            sources.append(x)
        out: Tensor = self.color_decoder(sources, self.last_shuf(x))
        return out


class _ColorDecoder(nn.Module):
    """Queries that look at one map after the other, coarsest first, and at one another. Sequences come first."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = _SinePosition()
        self.query_feat = nn.Embedding(_QUERIES, _CHANNELS)
        self.query_embed = nn.Embedding(_QUERIES, _CHANNELS)
        self.level_embed = nn.Embedding(len(_SOURCES), _CHANNELS)
        self.input_proj = nn.ModuleList(nn.Conv2d(channels, _CHANNELS, 1) for channels in _SOURCES)
        self.transformer_self_attention_layers = nn.ModuleList(_SelfAttention() for _ in range(_LAYERS))
        self.transformer_cross_attention_layers = nn.ModuleList(_CrossAttention() for _ in range(_LAYERS))
        self.transformer_ffn_layers = nn.ModuleList(_FeedForward() for _ in range(_LAYERS))
        self.decoder_norm = nn.LayerNorm(_CHANNELS)
        self.color_embed = _ColorEmbedding()

    def forward(self, sources: list[Tensor], pixels: Tensor) -> Tensor:
        """Return ``(N, queries, H, W)`` of three maps to read and of the pixels ``(N, C, H, W)`` to weigh."""
        memories, positions = self._memories(sources), [_to_sequence(self.pe_layer(source)) for source in sources]
        place = self.query_embed.weight[:, None]
        content = self.query_feat.weight[:, None].expand(-1, len(pixels), -1)
        layers = zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        )
        for index, (cross, self_attention, feed_forward) in enumerate(layers):
            level = index % len(sources)
            content = cross(content, place, memories[level], positions[level])
            content = feed_forward(self_attention(content, place))
        colors: Tensor = self.color_embed(self.decoder_norm(content).transpose(0, 1))
        return (colors @ pixels.flatten(2)).reshape(len(pixels), _QUERIES, *pixels.shape[2:])

    def _memories(self, sources: list[Tensor]) -> list[Tensor]:
        levels = zip(self.input_proj, sources, self.level_embed.weight, strict=True)
        return [_to_sequence(project(source)) + level for project, source, level in levels]


class _SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(_CHANNELS, _HEADS)
        self.norm = nn.LayerNorm(_CHANNELS)

    def forward(self, content: Tensor, place: Tensor) -> Tensor:
        """Return the queries' content ``(queries, N, C)`` once they have looked at one another."""
        query = content + place
        attention, _ = self.self_attn(query, query, content, need_weights=False)
        out: Tensor = self.norm(content + attention)
        return out


class _CrossAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(_CHANNELS, _HEADS)
        self.norm = nn.LayerNorm(_CHANNELS)

    def forward(self, content: Tensor, place: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        """Return the queries' content ``(queries, N, C)`` once they have looked at a map ``(pixels, N, C)``."""
        attention, _ = self.multihead_attn(content + place, memory + position, memory, need_weights=False)
        out: Tensor = self.norm(content + attention)
        return out


class _FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(_CHANNELS, _HIDDEN)
        self.linear2 = nn.Linear(_HIDDEN, _CHANNELS)
        self.norm = nn.LayerNorm(_CHANNELS)

    def forward(self, content: Tensor) -> Tensor:
        """Return the queries' content ``(queries, N, C)``, each looked at alone."""
        out: Tensor = self.norm(content + self.linear2(torch.relu_(self.linear1(content))))
        return out


class _ColorEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(_CHANNELS, _CHANNELS) for _ in range(3))

    def forward(self, content: Tensor) -> Tensor:
        """Return the vector that stands for each query's colour, ``(N, queries, C)``."""
        first, second, third = self.layers
        out: Tensor = third(torch.relu_(second(torch.relu_(first(content)))))
        return out


class _SinePosition(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Return where each pixel of a map ``(N, C, H, W)`` is, ``(1, channels, H, W)``: rows first, then columns."""
        height, width = x.shape[-2:]
        down = _sinusoids(height, x.device)[:, :, None].expand(-1, -1, width)
        across = _sinusoids(width, x.device)[:, None].expand(-1, height, -1)
        return torch.cat([down, across])[None]


def _sinusoids(length: int, device: torch.device) -> Tensor:
    """Return sines and cosines in turn, ``(channels / 2, length)``, slower from pair to pair."""
    angle = torch.arange(1, length + 1, dtype=torch.float32, device=device) / (length + 1e-6) * (2 * math.pi)
    channel = torch.arange(_CHANNELS // 2, dtype=torch.float32, device=device)
    turns = angle / 10000 ** (2 * (channel // 2) / (_CHANNELS // 2))[:, None]
    return torch.stack([turns[0::2].sin(), turns[1::2].cos()], dim=1).flatten(0, 1)


def _to_sequence(x: Tensor) -> Tensor:
    """Return a map ``(N, C, H, W)`` as ``(H * W, N, C)``."""
    return x.flatten(2).permute(2, 0, 1)
