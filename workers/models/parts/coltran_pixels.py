"""Whole-number pictures and colour bins of the Colorization Transformer.

Pictures are uint8 tensors ``(N, H, W, 3)`` or grey ``(N, H, W, 1)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RED, _GREEN, _BLUE = 0.2989, 0.5870, 0.1140
COARSE_LEVELS = 8
"""Levels of a channel in the coarse picture: three bits."""
_COARSE_STEP = 256 // COARSE_LEVELS


def center_crop(pictures: Tensor) -> Tensor:
    """Cut the middle out, as long and as wide as the shorter side."""
    height, width = pictures.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pictures[:, top : top + side, left : left + side]


def resize_area(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return each pixel as the mean of what it covers, rounded half to even; when enlarging, pixels are repeated."""
    down = _overlaps(pictures.shape[1], height).to(pictures.device)
    across = _overlaps(pictures.shape[2], width).to(pictures.device)
    sums = torch.einsum("ij,njkc,lk->nilc", down, pictures.double(), across)
    area = (pictures.shape[1] / height) * (pictures.shape[2] / width)
    return (sums / area).round().byte()


def _overlaps(size: int, new_size: int) -> Tensor:
    """Return how much of each old pixel every new one covers, ``(new_size, size)``."""
    step = size / new_size
    start = torch.arange(new_size, dtype=torch.float64)[:, None] * step
    pixel = torch.arange(size, dtype=torch.float64)[None, :]
    return (torch.minimum(pixel + 1, start + step) - torch.maximum(pixel, start)).clamp_min(0)


def to_gray(pictures: Tensor) -> Tensor:
    """Return the grey ``(N, H, W, 1)`` that is published for colour: cut off, so that neutral loses one level."""
    red, green, blue = pictures.float().unbind(-1)
    return (_RED * red + _GREEN * green + _BLUE * blue).byte()[..., None]


def gray_pyramid(pictures: Tensor, *sides: int) -> list[Tensor]:
    """Return a picture in grey in several square sizes, each made from the one before and rounded.

    Neutral pictures ``(N, H, W, 3)`` are taken as they are; coloured ones become grey at each size.
    """
    neutral = bool((pictures == pictures[..., :1]).all())
    current = pictures[..., :1] if neutral else pictures
    out = []
    for side in sides:
        current = resize_area(current, side, side)
        out.append(current if neutral else to_gray(current))
    return out


def color_bins(pictures: Tensor) -> Tensor:
    """Return the colour bin ``(N, H, W)``, 0..511, of every pixel ``(N, H, W, 3)``."""
    red, green, blue = (pictures.long() // _COARSE_STEP).unbind(-1)
    return (red * COARSE_LEVELS + green) * COARSE_LEVELS + blue


def bins_to_coarse(bins: Tensor) -> Tensor:
    """Return three-bit red, green and blue ``(..., 3)``, 0..7, of colour bins ``(...)``."""
    green = bins.div(COARSE_LEVELS, rounding_mode="floor")
    red = green.div(COARSE_LEVELS, rounding_mode="floor")
    return torch.stack([red, green % COARSE_LEVELS, bins % COARSE_LEVELS], dim=-1)


def coarse_picture(coarse: Tensor) -> Tensor:
    """Return three-bit colours as a picture: multiples of 32."""
    return (coarse * _COARSE_STEP).byte()
