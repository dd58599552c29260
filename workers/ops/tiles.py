"""Large pictures, tile by tile, so that a network's memory does not grow with them.

Where it is known how far a network looks, every tile is given that much around it and comes out as if there were no
tiles (:func:`map_tiles`); where nobody knows, tiles fade into each other (:func:`blend_tiles`). The grids depend on the
picture's size alone, so bits never depend on the machine or on what else is computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

TILE_PX = 512
"""Side of what one tile contributes, in pixels of the source."""
_STEP_PX = 16
"""Surroundings are rounded up to multiples of this: networks that fold or look through windows see the same grid."""
_FADED_PX = 384
"""Side of the largest tile among those that fade: with its surroundings it is as large as others without."""
_AROUND_PX, _FADE_PX = 64, 32
"""What such a tile is shown around it, and how far to each side of its border it fades; the rest, which sees least of
what is around, is thrown away."""


def map_tiles(pictures: Tensor, reach_px: int, work: Callable[[Tensor], Tensor]) -> Tensor:
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
    columns = [(_tile_range(width, left, around), left) for left in range(0, width, TILE_PX)]
    rows = []
    for top in range(0, height, TILE_PX):
        first, last = _tile_range(height, top, around)
        row = [
            _crop_tile(work(pictures[..., first:last, before:after]), last - first, top - first, left - before)
            for (before, after), left in columns
        ]
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def _tile_range(length: int, start: int, around: int) -> tuple[int, int]:
    return max(0, start - around), min(length, start + TILE_PX + around)


def _crop_tile(output: Tensor, height: int, top: int, left: int) -> Tensor:
    """Cut a tile's own pixels out of what was made of it and its surroundings, which were ``height`` pixels high."""
    scale = output.shape[-2] // height
    top, left, side = top * scale, left * scale, TILE_PX * scale
    return output[..., top : top + side, left : left + side]


def blend_tiles(pictures: Tensor, scale: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``work`` over pictures ``(N, C, H, W)``, large ones in tiles that fade into each other.

    For networks of which nobody knows how far they look, or that look at the mean of all they are shown: what is left
    of a border is a slope 64 pixels wide.

    Args:
        pictures: All of one size.
        scale: Factor on width and height.
        work: Makes ``(N, C', h * scale, w * scale)`` of a part ``(N, C, h, w)``.
    """
    height, width = pictures.shape[-2:]
    rows, columns = _even_parts(height), _even_parts(width)
    if len(rows) == len(columns) == 1:
        return work(pictures)
    out: Tensor | None = None
    for top, bottom in rows:
        for left, right in columns:
            above, below = max(0, top - _AROUND_PX), min(height, bottom + _AROUND_PX)
            before, after = max(0, left - _AROUND_PX), min(width, right + _AROUND_PX)
            output = work(pictures[..., above:below, before:after])
            if out is None:
                out = output.new_zeros(*output.shape[:2], height * scale, width * scale)
            down = _blend_weights(above, below, top, bottom, height, scale)
            across = _blend_weights(before, after, left, right, width, scale)
            share = (down[:, None] * across).to(output.device)
            out[..., above * scale : below * scale, before * scale : after * scale] += output * share
    assert out is not None
    return out


def _even_parts(length: int) -> list[tuple[int, int]]:
    """Cut a length into parts about as long as each other, at multiples of what windows see."""
    count = -(-length // _FADED_PX)
    ends = [round(number * length / count / _STEP_PX) * _STEP_PX for number in range(count)] + [length]
    return list(itertools.pairwise(ends))


def _blend_weights(start: int, stop: int, first: int, last: int, length: int, scale: int) -> Tensor:
    """Return what a tile that shows ``[start, stop)`` and owns ``[first, last)`` counts for, pixel by pixel.

    Beside every border the two shares add up to 1; at the picture's own borders nothing fades.
    """
    places = start + (torch.arange((stop - start) * scale) + 0.5) / scale
    rise = ((places - first) / (2 * _FADE_PX) + 0.5).clamp(0, 1) if first > 0 else torch.ones_like(places)
    fall = ((places - last) / (2 * _FADE_PX) + 0.5).clamp(0, 1) if last < length else torch.zeros_like(places)
    return rise * (1 - fall)
