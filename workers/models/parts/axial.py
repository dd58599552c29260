"""Axial attention, in which places look at one another only along their row or their column.

Axial Transformer (Ho and others, 2019), with the conditioned parts of the Colorization Transformer (Kumar and others,
2021). Grids are ``(N, H, W, width)``. Layers normalise after their residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-3


@dataclass(frozen=True)
class Widths:
    """Numbers of channels."""

    hidden: int = 512
    inner: int = 512
    """Between the two layers of a feed-forward."""
    heads: int = 4
    head: int = 128
    """Of each head."""


class Heads(NamedTuple):
    """Queries, keys and values ``(..., heads, head)``."""

    query: Tensor
    key: Tensor
    value: Tensor


class AxialAttention(nn.Module):
    """Attention along an axis of ``length`` places, with a learnt bias for each distance.

    With a context of ``context`` channels, queries, keys and values are scaled and shifted by what is seen there.
    """

    def __init__(self, widths: Widths, length: int, context: int = 0) -> None:
        super().__init__()
        self.heads, self.length = widths.heads, length
        across = widths.heads * widths.head
        self.q = nn.Linear(widths.hidden, across, bias=False)
        self.k = nn.Linear(widths.hidden, across, bias=False)
        self.v = nn.Linear(widths.hidden, across, bias=False)
        self.output = nn.Linear(across, widths.hidden, bias=False)
        if context:
            self.cond_q = nn.Linear(context, 2 * across, bias=False)
            self.cond_k = nn.Linear(context, 2 * across, bias=False)
            self.cond_v = nn.Linear(context, 2 * across, bias=False)
        self.rel_bias = nn.Parameter(torch.zeros(widths.heads, 2 * length))

    def forward(self, x: Tensor, context: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """Mix ``(..., length, hidden)`` along its last axis but one; ``causal``: a place sees none after it."""
        query, key, value = (part.flatten(0, -4).transpose(1, 2) for part in self.split(x, context))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.bias(causal=causal)[None])
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out.reshape(x.shape)

    def split(self, x: Tensor, context: Tensor | None = None) -> Heads:
        """Return the heads of ``(..., length, hidden)``, conditioned on ``(..., length, context)``."""
        parts = [linear(x).reshape(*x.shape[:-1], self.heads, -1) for linear in (self.q, self.k, self.v)]
        if context is not None:
            shifts = self.conditions(context)
            parts = [part * scale + shift for part, (scale, shift) in zip(parts, shifts, strict=True)]
        return Heads(*parts)

    def conditions(self, context: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return scale and shift ``(..., heads, head)`` for queries, for keys and for values."""
        both = [linear(context) for linear in (self.cond_q, self.cond_k, self.cond_v)]
        halves = [part.reshape(*context.shape[:-1], self.heads, -1).chunk(2, dim=-1) for part in both]
        return [(scale, shift) for scale, shift in halves]

    def bias(self, *, causal: bool) -> Tensor:
        """Return what is added to scores ``(heads, queries, keys)``; what comes after gets -1e6 if causal."""
        places = torch.arange(self.length, device=self.rel_bias.device)
        ahead = places[None, :] - places[:, None]
        bias = self.rel_bias[:, self.length - 1 + ahead]
        return bias - 1e6 * (ahead > 0) if causal else bias


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.fc1 = nn.Linear(widths.hidden, widths.inner)
        self.fc2 = nn.Linear(widths.inner, widths.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., hidden)`` as it came in."""
        out: Tensor = self.fc2(functional.relu(self.fc1(x)))
        return out


class ConditionalFeedForward(nn.Module):
    """Scales and shifts what a feed-forward gives by what the context shows at the same place."""

    def __init__(self, widths: Widths, context: int) -> None:
        super().__init__()
        self.ff = FeedForward(widths)
        self.affine = nn.Linear(context, 2 * widths.hidden)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ``(..., hidden)``; shapes but for the channels are alike."""
        shift, scale = self.affine(context).chunk(2, dim=-1)
        out: Tensor = self.ff(x) * scale + shift
        return out


class ConditionalLayerNorm(nn.Module):
    """Layer norm whose scale and shift come from an average of a context over the whole picture."""

    def __init__(self, hidden: int, height: int, width: int) -> None:
        super().__init__()
        self.spatial_average = nn.Parameter(torch.ones(1, height, width, 1))
        self.channel_dense = nn.Linear(hidden, 2 * hidden)
        self.normalize = nn.LayerNorm(hidden, eps=NORM_EPS)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)``, the context being of the same shape."""
        scale, shift = self.affine((self.spatial_average * context).mean((1, 2), keepdim=True))
        out: Tensor = self.normalize(x) * scale + shift
        return out

    def affine(self, average: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift ``(..., hidden)`` of an average ``(..., hidden)``."""
        scale, shift = self.channel_dense(average).chunk(2, dim=-1)
        return scale, shift

    def row_averages(self, context: Tensor) -> Tensor:
        """Return for each row of ``(H, W, hidden)`` its average ``(H, hidden)`` if all rows were like it."""
        weights = self.spatial_average[0].mean(0)
        return (weights * context).mean(1)


class AxialLayer(nn.Module):
    """Attention and feed-forward along rows, then along columns, each with a residual and a norm."""

    def __init__(self, widths: Widths, height: int, width: int) -> None:
        super().__init__()
        self.row_att = AxialAttention(widths, width)
        self.norm_row_att = nn.LayerNorm(widths.hidden, eps=NORM_EPS)
        self.row_ff = FeedForward(widths)
        self.norm_row_ff = nn.LayerNorm(widths.hidden, eps=NORM_EPS)
        self.col_att = AxialAttention(widths, height)
        self.norm_col_att = nn.LayerNorm(widths.hidden, eps=NORM_EPS)
        self.col_ff = FeedForward(widths)
        self.norm_col_ff = nn.LayerNorm(widths.hidden, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)``."""
        x = self.norm_row_att(x + self.row_att(x))
        x = self.norm_row_ff(x + self.row_ff(x))
        x = self.norm_col_att(x + self.col_att(x.transpose(1, 2)).transpose(1, 2))
        out: Tensor = self.norm_col_ff(x + self.col_ff(x))
        return out


class Positions(nn.Module):
    """Adds what is learnt for each row and each column."""

    def __init__(self, hidden: int, height: int, width: int) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.randn(height, 1, hidden) * 0.02)
        self.column = nn.Parameter(torch.randn(width, hidden) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)`` with positions."""
        return x + (self.row + self.column)


class AxialEncoder(nn.Module):
    """Positions, then layers that let every place see the whole picture."""

    def __init__(self, widths: Widths, layers: int, height: int, width: int) -> None:
        super().__init__()
        self.positions = Positions(widths.hidden, height, width)
        self.layers = nn.ModuleList(AxialLayer(widths, height, width) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, H, W, hidden)``."""
        x = self.positions(x)
        for layer in self.layers:
            x = layer(x)
        return x
