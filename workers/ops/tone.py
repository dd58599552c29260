"""Local contrast of luma."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from workers.ops.planes import Plane

_TILES = 8
_BINS = 128
_STEEPEST = 2.5
"""Greatest slope of a tile's tone curve: what it may raise noise by, and what keeps reels from pumping."""


def equalize(luma: Plane) -> Plane:
    """Return luma with the histogram of every region flattened as far as a bounded slope allows (Zuiderveld 1994).

    Curves are interpolated between tiles and between their own knots, so no level is lost and no tile edge shows.
    """
    curves = torch.from_numpy(_tone_curves(luma).transpose(2, 0, 1)[None, None].copy())
    inside = np.clip(luma, 0, 1)
    rows, columns = luma.shape
    grid = torch.empty((1, 1, rows, columns, 3))
    grid[..., 0] = torch.from_numpy(_tile_positions(columns))
    grid[..., 1] = torch.from_numpy(_tile_positions(rows))[:, None]
    grid[..., 2] = torch.from_numpy(inside * 2 - 1)
    # The sampler lays positions out from the middle of the first tile to the middle of the last.
    output = functional.grid_sample(curves, grid, mode="bilinear", padding_mode="border", align_corners=True)
    out: Plane = output[0, 0, 0].numpy()
    out += luma - inside
    return out


def _tile_positions(length: int) -> NDArray[np.float32]:
    """Return where pixels lie among the tiles: -1 in the middle of the first, 1 in the middle of the last."""
    place = (np.arange(length, dtype=np.float32) + 0.5) / length * _TILES - 0.5
    return np.clip(place / (_TILES - 1) * 2 - 1, -1, 1)


def _tone_curves(luma: Plane) -> NDArray[np.float32]:
    """Return ``(tiles, tiles, knots)``: for each tile its tone curve at equally spaced levels."""
    rows, columns = luma.shape
    tile = (np.arange(rows) * _TILES // rows)[:, None] * _TILES + (np.arange(columns) * _TILES // columns)[None, :]
    level = np.clip((luma * _BINS).astype(np.intp), 0, _BINS - 1)
    counts = np.bincount((tile * _BINS + level).ravel(), minlength=_TILES * _TILES * _BINS)
    share = counts.reshape(_TILES, _TILES, _BINS) / np.maximum(
        1, counts.reshape(_TILES, _TILES, _BINS).sum(-1, keepdims=True)
    )
    limit = _STEEPEST / _BINS
    density = np.minimum(share, limit)
    # What is cut off is spread evenly, which pulls the curve of a flat tile towards no change.
    density += (1 - density.sum(-1, keepdims=True)) / _BINS
    return np.concatenate([np.zeros((_TILES, _TILES, 1)), np.cumsum(density, -1)], -1).astype(np.float32)
