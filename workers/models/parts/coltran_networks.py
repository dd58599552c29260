"""The three networks of the Colorization Transformer.

Grids are ``(N, H, W, width)``. The colorizer gives 512 coarse colours a probability at every place, from the grey
picture and the colours before it in reading order; the upsamplers then refine each channel by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts.axial import (
    NORM_EPS,
    AxialAttention,
    AxialEncoder,
    ConditionalFeedForward,
    ConditionalLayerNorm,
    Positions,
    Widths,
)

COLORS = 512
_GRAYS = 256


class OuterLayer(nn.Module):
    """Sees whole rows, and in columns what lies above; conditioned on the grey picture."""

    def __init__(self, widths: Widths, side: int) -> None:
        super().__init__()
        hidden = widths.hidden
        self.row_att = AxialAttention(widths, side, hidden)
        self.cln_row_att = ConditionalLayerNorm(hidden, side, side)
        self.row_ff = ConditionalFeedForward(widths, hidden)
        self.cln_row_ff = ConditionalLayerNorm(hidden, side, side)
        self.col_att = AxialAttention(widths, side, hidden)
        self.cln_col_att = ConditionalLayerNorm(hidden, side, side)
        self.col_ff = ConditionalFeedForward(widths, hidden)
        self.cln_col_ff = ConditionalLayerNorm(hidden, side, side)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)``; ``z`` is the encoded grey picture, of the same shape."""
        x = self.cln_row_att(x + self.row_att(x, z), z)
        x = self.cln_row_ff(x + self.row_ff(x, z), z)
        columns = self.col_att(x.transpose(1, 2), z.transpose(1, 2), causal=True)
        x = self.cln_col_att(x + columns.transpose(1, 2), z)
        out: Tensor = self.cln_col_ff(x + self.col_ff(x, z), z)
        return out


class InnerLayer(nn.Module):
    """Sees what lies left in the row; conditioned on the grey picture and on the rows above."""

    def __init__(self, widths: Widths, side: int) -> None:
        super().__init__()
        hidden = widths.hidden
        self.row_att = AxialAttention(widths, side, 2 * hidden)
        self.cln_row_att = ConditionalLayerNorm(hidden, side, side)
        self.row_ff = ConditionalFeedForward(widths, 2 * hidden)
        self.cln_row_ff = ConditionalLayerNorm(hidden, side, side)

    def forward(self, x: Tensor, z: Tensor, context: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)``; ``context`` ``(N, H, W, 2 x hidden)`` is ``z`` and the rows above."""
        x = self.cln_row_att(x + self.row_att(x, context, causal=True), z)
        out: Tensor = self.cln_row_ff(x + self.row_ff(x, context), z)
        return out


class OuterDecoder(nn.Module):
    """Tells every place what the rows above it hold."""

    def __init__(self, widths: Widths, side: int) -> None:
        super().__init__()
        self.positions = Positions(widths.hidden, side, side)
        self.layers = nn.ModuleList(OuterLayer(widths, side) for _ in range(2))

    def forward(self, colors: Tensor, z: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)`` of embedded colours and encoded grey; row 0 has nothing above and is zero."""
        x: Tensor = self.positions(colors) + z
        for layer in self.layers:
            x = layer(x, z)
        return functional.pad(x, (0, 0, 0, 0, 1, -1))


class InnerDecoder(nn.Module):
    """Tells every place what lies left of it in its row."""

    def __init__(self, widths: Widths, side: int) -> None:
        super().__init__()
        self.positions = Positions(widths.hidden, side, side)
        self.layers = nn.ModuleList(InnerLayer(widths, side) for _ in range(2))

    def forward(self, colors: Tensor, z: Tensor, above: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)`` of embedded colours, encoded grey and what the outer decoder gave."""
        x: Tensor = self.positions(functional.pad(colors, (0, 0, 1, -1))) + z + above
        context = torch.cat([z, above], dim=-1)
        for layer in self.layers:
            x = layer(x, z, context)
        return x


class ColorizerLogits(NamedTuple):
    """Logits of the 512 coarse colours ``(N, H, W, 512)``."""

    decoded: Tensor
    """Each place knowing the colours before it."""
    parallel: Tensor
    """From the grey picture alone: only for training."""


class Colorizer(nn.Module):
    """Coarse colours one by one, in reading order, on a small square grid."""

    def __init__(self, widths: Widths, side: int) -> None:
        super().__init__()
        hidden = widths.hidden
        self.gray_embedding = nn.Embedding(_GRAYS, hidden)
        self.gray_bias = nn.Parameter(torch.zeros(hidden))
        self.encoder = AxialEncoder(widths, 4, side, side)
        self.parallel_logits = nn.Linear(hidden, COLORS, bias=False)
        self.pixel_embedding = nn.Embedding(COLORS, hidden)
        self.outer = OuterDecoder(widths, side)
        self.inner = InnerDecoder(widths, side)
        self.final_norm = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.auto_logits = nn.Linear(hidden, COLORS)

    def forward(self, gray: Tensor, bins: Tensor) -> ColorizerLogits:
        """Return logits for grey ``(N, H, W, 1)`` 0..255, given the colour bins ``(N, H, W)`` of every place."""
        z = self.encode(gray)
        colors = self.pixel_embedding(bins.long())
        above = self.outer(colors, z)
        return ColorizerLogits(self.logits(self.inner(colors, z, above)), self.parallel_logits(z))

    def encode(self, gray: Tensor) -> Tensor:
        """Return what the encoder makes of grey: ``(N, H, W, hidden)``."""
        out: Tensor = self.encoder(self.gray_embedding(gray[..., 0].long()) + self.gray_bias)
        return out

    def logits(self, x: Tensor) -> Tensor:
        """Return ``(..., 512)`` of what the inner decoder gives."""
        out: Tensor = self.auto_logits(self.final_norm(x))
        return out


class Upsampler(nn.Module):
    """Finer levels for a picture of ``levels`` levels a channel; each channel is seen by itself, beside the grey."""

    def __init__(self, widths: Widths, side: int, *, levels: int, layers: int) -> None:
        super().__init__()
        self.levels = levels
        self.channel_embedding = nn.Embedding(3 * levels, widths.hidden)
        self.gray_embedding = nn.Embedding(_GRAYS, widths.hidden)
        self.input_dense = nn.Linear(2 * widths.hidden, widths.hidden)
        self.encoder = AxialEncoder(widths, layers, side, side)
        self.logits = nn.Linear(widths.hidden, 256)

    def forward(self, picture: Tensor, gray: Tensor) -> Tensor:
        """Return logits ``(N, H, W, 3, 256)`` for a picture ``(N, H, W, 3)`` and its grey ``(N, H, W, 1)`` 0..255."""
        return torch.stack([self.channel_logits(picture, gray, channel) for channel in range(3)], dim=3)

    def likeliest_picture(self, picture: Tensor, gray: Tensor) -> Tensor:
        """Return the likeliest picture, uint8 ``(N, H, W, 3)``."""
        best = [self.channel_logits(picture, gray, channel).argmax(-1) for channel in range(3)]
        return torch.stack(best, dim=-1).byte()

    def channel_logits(self, picture: Tensor, gray: Tensor, channel: int) -> Tensor:
        """Return the logits ``(N, H, W, 256)`` of one channel."""
        coarse = self.channel_embedding(picture[..., channel].long() + self.levels * channel)
        x = self.input_dense(torch.cat([coarse, self.gray_embedding(gray[..., 0].long())], dim=-1))
        out: Tensor = self.logits(self.encoder(x))
        return out
