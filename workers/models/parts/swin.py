"""A Swin Transformer whose windows also see the whole picture, as an encoder.

Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu and others, 2021), with the global-local
attention of ColorFormer (Ji and others, 2022) in every other block. Maps lie channels last, ``(N, H, W, C)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_WINDOW, _SHIFT = 7, 3
_APART = -100.0
"""Added to the score of two positions that only the shift has brought into one window."""
_GROUPS = 4


class SwinAttention(nn.Module):
    """Attention inside windows, with a bias that depends on how far apart two positions are.

    Args:
        channels: Channels that come in and go out.
        heads: Into how many parts they are divided.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((2 * _WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _offsets())
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def attend(self, windows: Tensor, mask: Tensor | None = None, beside: Tensor | None = None) -> Tensor:
        """Return windows ``(N, windows, positions, C)`` of the same shape.

        Args:
            windows: What asks and is asked.
            mask: Added to the scores, ``(windows, 1, positions, positions)``.
            beside: Keys and values that every window sees beside its own, ``(N, 1, others, 2 C)``.
        """
        query, key, value = self._heads(self.qkv(windows), 3)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            bias = bias + mask
        query = query * query.shape[-1] ** -0.5
        scores = query @ key.transpose(-2, -1) + bias
        if beside is not None:
            key, more = (each.expand(-1, windows.shape[1], -1, -1, -1) for each in self._heads(beside, 2))
            scores = torch.cat([scores, query @ key.transpose(-2, -1)], dim=-1)
            value = torch.cat([value, more], dim=-2)
        context = scores.softmax(dim=-1) @ value
        out: Tensor = self.proj(context.transpose(-3, -2).flatten(-2))
        return out

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Return ``parts`` times ``(N, windows, heads, positions, C / heads)``."""
        apart = projected.reshape(*projected.shape[:-1], parts, self.heads, -1)
        return apart.permute(3, 0, 1, 4, 2, 5).unbind(0)


class ShiftedAttention(SwinAttention):
    """Attention in windows that are shifted by half their side."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape, sides multiples of the window's."""
        height, width = x.shape[1:3]
        mask = _shift_mask(height, width, x.device)
        windows = self.attend(_to_windows(x.roll((-_SHIFT, -_SHIFT), (1, 2))), mask=mask)
        return _to_map(windows, height, width).roll((_SHIFT, _SHIFT), (1, 2))


class GlobalAttention(SwinAttention):
    """Attention in windows, each of which also sees the whole map, shrunk to a few positions.

    Args:
        channels: Channels that come in and go out.
        heads: Into how many parts they are divided.
        grid: Positions along each side of the shrunk map.
    """

    def __init__(self, channels: int, heads: int, grid: int) -> None:
        super().__init__(channels, heads)
        self.grid = grid
        self.norm = nn.LayerNorm(channels)
        self.kv = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape, sides multiples of the window's."""
        shrunk = functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), self.grid).flatten(2).transpose(1, 2)
        windows = self.attend(_to_windows(x), beside=self.kv(self.norm(shrunk))[:, None])
        return _to_map(windows, *x.shape[1:3])


class SwinMlp(nn.Module):
    """Two pixelwise layers."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., C)`` of the same shape."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class SwinBlock(nn.Module):
    """Attention in windows, then two pixelwise layers; the input is carried on around both."""

    def __init__(self, channels: int, attention: SwinAttention) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = SwinMlp(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape ``(N, H, W, C)``."""
        height, width = x.shape[1:3]
        # Zeros that fill up the windows take part in the attention, as in the published network.
        filled = functional.pad(self.norm1(x), (0, 0, 0, -width % _WINDOW, 0, -height % _WINDOW))
        x = x + self.attn(filled)[:, :height, :width]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class SwinStage(nn.Module):
    """Blocks of one width, and what halves the size behind them.

    Args:
        channels: Width.
        depth: Blocks; those at even places see the whole map.
        heads: Heads of each attention.
        grid: Positions along each side of the map as a whole.
        last: Whether nothing is halved.
    """

    def __init__(self, channels: int, depth: int, heads: int, grid: int, last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for index in range(depth):
            whole = index % 2 == 0
            attention = GlobalAttention(channels, heads, grid) if whole else ShiftedAttention(channels, heads)
            self.blocks.append(SwinBlock(channels, attention))
        self.downsample = nn.Identity() if last else _PatchMerging(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a map of the same shape ``(N, H, W, C)``, and what the next stage is given."""
        x = self.blocks(x)
        return x, self.downsample(x)


class Swin(nn.Module):
    """The encoder: four maps, and how far each of four groups of pictures is like this one.

    Args:
        width: Channels of the first stage, doubled from stage to stage.
        depths: Blocks of the stages.
        heads: Heads in the stages.
        grids: Positions along each side of the map as a whole, in the stages.
    """

    def __init__(self, width: int, depths: Sequence[int], heads: Sequence[int], grids: Sequence[int]) -> None:
        super().__init__()
        self.patch_embed = _PatchProjection(width)
        widths = [width << stage for stage in range(len(depths))]
        self.layers = nn.ModuleList(
            SwinStage(*facts, last=facts[0] == widths[-1]) for facts in zip(widths, depths, heads, grids, strict=True)
        )
        for stage, channels in enumerate(widths):
            self.add_module(f"norm{stage}", nn.LayerNorm(channels))
        self.norm_cls = nn.LayerNorm(widths[-1])
        self.head_cls = nn.Linear(widths[-1], _GROUPS)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return maps ``(N, C, h, w)`` at 1/4 to 1/32 of normalised RGB ``(N, 3, H, W)``, and shares ``(N, 4)``."""
        x, maps = self.patch_embed(x), []
        for index, stage in enumerate(self.layers):
            stage_map, x = stage(x)
            maps.append(cast(Tensor, self.get_submodule(f"norm{index}")(stage_map)))
        means = self.norm_cls(maps[-1]).flatten(1, 2).mean(dim=1)
        return [each.permute(0, 3, 1, 2) for each in maps], self.head_cls(means).softmax(dim=-1)


class _PatchProjection(nn.Module):
    """Makes one position of every 4 x 4 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 4, stride=4)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, H / 4, W / 4, channels)`` of ``(N, 3, H, W)``, sides rounded up."""
        filled = functional.pad(x, (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        out: Tensor = self.norm(self.proj(filled).permute(0, 2, 3, 1))
        return out


class _PatchMerging(nn.Module):
    """Makes one position of every 2 x 2, twice as wide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, H / 2, W / 2, 2 C)`` of ``(N, H, W, C)``, sides rounded up."""
        x = functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        phases = [x[:, down::2, across::2] for across in (0, 1) for down in (0, 1)]
        out: Tensor = self.reduction(self.norm(torch.cat(phases, dim=-1)))
        return out


def _offsets() -> Tensor:
    """Return the row of the bias table for each pair of a window's positions, ``(49, 49)`` int64, query first."""
    place = torch.arange(_WINDOW)
    apart = place[:, None] - place + _WINDOW - 1
    rows = (2 * _WINDOW - 1) * apart[:, None, :, None] + apart[None, :, None, :]
    return rows.reshape(_WINDOW**2, _WINDOW**2)


def _to_windows(x: Tensor) -> Tensor:
    """Return a map ``(N, H, W, C)`` as windows ``(N, windows, positions, C)``, row by row."""
    count, height, width, channels = x.shape
    tiled = x.reshape(count, height // _WINDOW, _WINDOW, width // _WINDOW, _WINDOW, channels)
    return tiled.transpose(2, 3).reshape(count, -1, _WINDOW**2, channels)


def _to_map(windows: Tensor, height: int, width: int) -> Tensor:
    """Return windows as the map that they came of."""
    count, channels = len(windows), windows.shape[-1]
    tiled = windows.reshape(count, height // _WINDOW, width // _WINDOW, _WINDOW, _WINDOW, channels)
    return tiled.transpose(2, 3).reshape(count, height, width, channels)


def _shift_mask(height: int, width: int, device: torch.device) -> Tensor:
    """Return what keeps apart, in a shifted map, positions that were not neighbours: ``(windows, 1, 49, 49)``."""
    down, across = _bands(height, device), _bands(width, device)
    region = (3 * down[:, None] + across)[None, :, :, None]
    numbers = _to_windows(region)[0, :, None, :, 0]
    return torch.where(numbers[..., None] == numbers[..., None, :], 0.0, _APART)


def _bands(length: int, device: torch.device) -> Tensor:
    """Return 0 for what lies before the last window, 1 for its part that stays, 2 for what came round."""
    place = torch.arange(length, device=device)
    return (place >= length - _WINDOW).long() + (place >= length - _SHIFT).long()
