"""Draws the coarse colours of one picture place by place, keeping what does not change.

A place depends on those before it in reading order, so 64 x 64 places take 4096 steps. Keys and values of places that
are done stay as they are, what depends on the grey picture alone is reckoned once, what depends on the rows above once
a row; a step is then a few products of a vector and a matrix.

While drawing, the conditional norms of the inner decoder see but one row of the encoded grey and take it for the whole
picture, as published; logits therefore differ from those of ``Colorizer.forward`` for the same colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from workers.models.parts.axial import NORM_EPS, AxialAttention, ConditionalLayerNorm
from workers.models.parts.coltran_networks import Colorizer, InnerLayer, OuterLayer


class SampledRow(NamedTuple):
    """One finished row."""

    bins: Tensor
    """Colour bins ``(W,)`` int64."""
    logits: Tensor
    """What they were drawn from, ``(W, 512)``."""


def sample_rows(network: Colorizer, gray: Tensor, generator: torch.Generator | None = None) -> Iterator[SampledRow]:
    """Yield row after row for one grey picture ``(1, H, W, 1)`` 0..255.

    Takes the likeliest colour everywhere (of equals the first), or draws it if given a generator (of the CPU).
    """
    z = network.encode(gray)[0]
    outer = _CachedOuterDecoder(network, z)
    inner = _CachedInnerDecoder(network, z)
    above = torch.zeros_like(z[0])
    for number in range(len(z)):
        row = inner.sample_row(number, above, _gumbel_noise(network, len(z[0]), generator))
        yield row
        above = outer.feed_row(number, row.bins)


def _gumbel_noise(network: Colorizer, width: int, generator: torch.Generator | None) -> Tensor | None:
    """Return Gumbel noise ``(W, 512)``: the largest sum of logit and noise is a draw from the softmax."""
    if generator is None:
        return None
    exponential = torch.empty(width, network.auto_logits.out_features).exponential_(generator=generator)
    return -exponential.log().to(network.gray_bias.device)


class _ConstantNorm(NamedTuple):
    """A conditional norm whose context is known."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, NORM_EPS)


def _constant_norm(norm: ConditionalLayerNorm, average: Tensor) -> _ConstantNorm:
    scale, shift = norm.affine(average)
    return _ConstantNorm(norm.normalize.weight * scale, norm.normalize.bias * scale + shift)


# -- the outer decoder, a row at a time


class _CachedOuterDecoder:
    """The outer decoder with the keys and values of the rows that it has seen."""

    def __init__(self, network: Colorizer, z: Tensor) -> None:
        self._embedding, self._positions = network.pixel_embedding, network.outer.positions
        self._z = z
        self._layers = [_CachedOuterLayer(layer, z) for layer in network.outer.layers if isinstance(layer, OuterLayer)]

    def feed_row(self, number: int, bins: Tensor) -> Tensor:
        """Take in a row of colours; return ``(W, hidden)`` that the next row is to know of it and those above."""
        x: Tensor = self._embedding(bins) + self._positions.row[number] + self._positions.column + self._z[number]
        for layer in self._layers:
            x = layer.feed_row(number, x, self._z[number])
        return x


class _CachedOuterLayer:
    def __init__(self, layer: OuterLayer, z: Tensor) -> None:
        self._layer = layer
        norms = (layer.cln_row_att, layer.cln_row_ff, layer.cln_col_att, layer.cln_col_ff)
        self._norms = [_constant_norm(norm, (norm.spatial_average[0] * z).mean((0, 1))) for norm in norms]
        self._cache = _KeyValueCache(layer.col_att, z.shape[1])

    def feed_row(self, number: int, x: Tensor, z: Tensor) -> Tensor:
        after_row_att, after_row_ff, after_col_att, after_col_ff = self._norms
        layer = self._layer
        x = after_row_att(x + layer.row_att(x[None], z[None])[0])
        x = after_row_ff(x + layer.row_ff(x, z))
        query, key, value = layer.col_att.split(x, z)
        x = after_col_att(x + self._cache.attend(number, query, key, value))
        return after_col_ff(x + layer.col_ff(x, z))


class _KeyValueCache:
    """Keys and values of the places so far along an axis, for ``lines`` lines side by side."""

    def __init__(self, attention: AxialAttention, lines: int) -> None:
        self._bias = attention.bias(causal=False)
        self._output = attention.output
        across = attention.q.out_features // attention.heads
        shape = (lines, attention.heads, attention.length, across)
        self._keys, self._values = (self._bias.new_empty(shape) for _ in range(2))
        self._scale = 1 / math.sqrt(across)

    def attend(self, place: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Add a place and return what attention gives it, ``(lines, hidden)``; heads are ``(lines, heads, head)``."""
        self._keys[:, :, place], self._values[:, :, place] = key, value
        keys, values = self._keys[:, :, : place + 1], self._values[:, :, : place + 1]
        scores = torch.matmul(keys, (query * self._scale)[..., None])[..., 0] + self._bias[:, place, : place + 1]
        context = torch.matmul(scores.softmax(-1)[:, :, None], values)
        out: Tensor = self._output(context.flatten(1))
        return out


# -- the inner decoder, a place at a time


class _CachedInnerDecoder:
    """The inner decoder."""

    def __init__(self, network: Colorizer, z: Tensor) -> None:
        self._network, self._z = network, z
        self._positions = network.inner.positions
        self._layers = [_CachedInnerLayer(layer, z) for layer in network.inner.layers if isinstance(layer, InnerLayer)]

    def sample_row(self, number: int, above: Tensor, noise: Tensor | None) -> SampledRow:
        """Choose a row's colours; ``above`` ``(W, hidden)`` is what the outer decoder gave for the row before."""
        z = self._z[number]
        constant = self._positions.row[number] + self._positions.column + z + above
        for layer in self._layers:
            layer.begin_row(number, torch.cat([z, above], dim=-1))
        bins, logits = [], []
        left = torch.zeros_like(constant[0])
        for place, base in enumerate(constant):
            logits.append(self._logits(place, base + left))
            score = logits[-1] if noise is None else logits[-1] + noise[place]
            bins.append(score.argmax())
            left = self._network.pixel_embedding(bins[-1])
        return SampledRow(torch.stack(bins), torch.stack(logits))

    def _logits(self, place: int, x: Tensor) -> Tensor:
        for layer in self._layers:
            x = layer.step(place, x)
        return self._network.logits(x)


class _CachedInnerLayer:
    def __init__(self, layer: InnerLayer, z: Tensor) -> None:
        self._layer = layer
        attention = layer.row_att
        self._split = torch.cat([attention.q.weight, attention.k.weight, attention.v.weight])
        self._norms = [_constant_norm(norm, norm.row_averages(z)) for norm in (layer.cln_row_att, layer.cln_row_ff)]

    def begin_row(self, number: int, context: Tensor) -> None:
        """Reckon what a row's places share; ``context`` is ``(W, 2 x hidden)``."""
        attention = self._layer.row_att
        conditions = attention.conditions(context)
        self._scales = torch.cat([scale.flatten(1) for scale, _ in conditions], dim=1)
        self._shifts = torch.cat([shift.flatten(1) for _, shift in conditions], dim=1)
        self._ff_shifts, self._ff_scales = self._layer.row_ff.affine(context).chunk(2, dim=-1)
        self._after_att, self._after_ff = (_ConstantNorm(weight[number], bias[number]) for weight, bias in self._norms)
        self._cache = _KeyValueCache(attention, 1)

    def step(self, place: int, x: Tensor) -> Tensor:
        """Return ``(hidden,)`` for the next place of the row."""
        parts = torch.addcmul(self._shifts[place], functional.linear(x, self._split), self._scales[place])
        query, key, value = parts.reshape(3, 1, self._layer.row_att.heads, -1)
        x = self._after_att(x + self._cache.attend(place, query, key, value)[0])
        feed_forward = self._layer.row_ff.ff(x)
        return self._after_ff(x + torch.addcmul(self._ff_shifts[place], feed_forward, self._ff_scales[place]))
