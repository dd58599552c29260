"""Parts of a vision transformer (ViT, 2020): pre-norm blocks, patches, the encoder.

Keys are those of the widespread classifiers' checkpoints (``qkv``, ``proj``, ``fc1``, ``fc2``, ``norm1``, ``norm2``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class VitAttention(nn.Module):
    """Self-attention of several heads over tokens ``(N, T, width)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, attends: Tensor | None = None) -> Tensor:
        """Mix the tokens; where ``attends`` ``(N, T, T)`` bool is False, a token (row) does not look at another."""
        split: Tensor = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mask = None if attends is None else attends.unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class VitMlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the shape that came in."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


class VitBlock(nn.Module):
    """Attention and MLP, each behind a layer norm and around a residual."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = VitAttention(width, heads)
        self.mlp = VitMlp(width, inner)

    def forward(self, tokens: Tensor, attends: Tensor | None = None) -> Tensor:
        """Return tokens ``(N, T, width)``; ``attends`` as in :class:`VitAttention`."""
        tokens = tokens + self.attn(self.norm1(tokens), attends)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class PatchEmbed(nn.Module):
    """Cuts a picture into squares and makes a token of each."""

    def __init__(self, width: int, patch_px: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_px, stride=patch_px)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(N, rows x columns, width)`` of ``(N, 3, H, W)``, row by row."""
        grid: Tensor = self.proj(pictures)
        return grid.flatten(2).transpose(1, 2)


class VitEncoder(nn.Module):
    """A ViT without its use: class token, learnt positions, blocks, norm. The classifying head is kept but never run.

    Positions are learnt for ``side x side`` patches and resized bilinearly for other grids.
    """

    def __init__(
        self, width: int, layers: int, heads: int, inner: int, *, patch_px: int, side: int, classes: int
    ) -> None:
        super().__init__()
        self.patch_px, self.side = patch_px, side
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + side * side, width))
        self.patch_embed = PatchEmbed(width, patch_px)
        self.blocks = nn.ModuleList(VitBlock(width, heads, inner) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return tokens ``(N, 1 + patches, width)``, the class token first; sides are multiples of the patch."""
        patches: Tensor = self.patch_embed(pictures)
        rows, columns = (size // self.patch_px for size in pictures.shape[-2:])
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = tokens + self._positions(rows, columns)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out

    def _positions(self, rows: int, columns: int) -> Tensor:
        if 1 + rows * columns == self.pos_embed.shape[1]:
            return self.pos_embed
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = rest.transpose(1, 2).reshape(1, -1, self.side, self.side)
        grid = functional.interpolate(grid, size=(rows, columns), mode="bilinear", align_corners=False)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)
