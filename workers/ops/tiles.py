"""Large pictures, tile by tile, so that a network's memory does not grow with them. ``workers.models`` may import it.

The grid is laid from the picture's upper left corner, and every tile is given its surroundings as far as the network
looks. So bits depend on the picture's size alone, never on the machine or on what else is computed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TILE_PX = 512
"""Side of what one tile contributes, in pixels of the source."""
_STEP_PX = 16
"""Surroundings are rounded up to multiples of this: networks that fold or look through windows see the same grid."""


def joined(pictures: Tensor, reach_px: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``work`` over pictures ``(N, C, H, W)``, in tiles where they are large: ``(N, C', H * scale, W * scale)``.

    Args:
        pictures: All of one size.
        reach_px: How far to each side a pixel of the result looks; 0 means everywhere, and there are no tiles.
        work: Makes ``(N, C', h * scale, w * scale)`` of a part ``(N, C, h, w)``.
    """
    height, width = pictures.shape[-2:]
    if reach_px == 0 or max(height, width) <= TILE_PX:
        return work(pictures)
    around = -(-reach_px // _STEP_PX) * _STEP_PX
    columns = [(_part(width, left, around), left) for left in range(0, width, TILE_PX)]
    rows = []
    for top in range(0, height, TILE_PX):
        first, last = _part(height, top, around)
        row = [
            _inner(work(pictures[..., first:last, before:after]), last - first, top - first, left - before)
            for (before, after), left in columns
        ]
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def _part(length: int, start: int, around: int) -> tuple[int, int]:
    return max(0, start - around), min(length, start + TILE_PX + around)


def _inner(made: Tensor, height: int, top: int, left: int) -> Tensor:
    """Cut a tile's own pixels out of what was made of it and its surroundings, which were ``height`` pixels high."""
    scale = made.shape[-2] // height
    top, left, side = top * scale, left * scale, TILE_PX * scale
    return made[..., top : top + side, left : left + side]
