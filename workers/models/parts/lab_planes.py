"""L for a network that works at a size of its own, and pictures made of L and its ab.

The published programs begin and end with 8-bit pictures; what they resize is 8-bit too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.ops import lab
from workers.ops.resample import Bytes, Filter, resize


def to_eight_bit(pictures: Tensor) -> list[Bytes]:
    """Return pictures ``(N, 3, H, W)`` float 0..1 as 8-bit ones ``(H, W, 3)``, rounded."""
    levels = (pictures.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def to_unit_range(picture: Bytes, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return an 8-bit picture ``(H, W, 3)`` as ``(1, 3, H, W)`` 0..1."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return planes[None].to(dtype) / 255


def lightness(picture: Bytes) -> Tensor:
    """Return L ``(1, 1, H, W)`` float32, 0..100, of an 8-bit sRGB picture ``(H, W, 3)``, reckoned in float64."""
    return lab.lightness(to_unit_range(picture, torch.float64)).float()


def square_lightness(picture: Bytes, side_px: int, method: Filter) -> Tensor:
    """Return L ``(1, 1, side_px, side_px)`` float32, 0..100, of an 8-bit picture that is stretched to a square."""
    return lightness(resize(picture, side_px, side_px, method))


def merge_chroma(picture: Bytes, ab: Tensor) -> Bytes:
    """Return a picture's own L ``(H, W, 3)`` under ab ``(1, 2, h, w)``, brought to its size, as 8 bits cut off."""
    light = lightness(picture)
    if ab.shape[-2:] != light.shape[-2:]:
        ab = functional.interpolate(ab, light.shape[-2:], mode="bilinear", align_corners=False)
    levels = lab.lab_to_rgb(torch.cat([light, ab], dim=1)) * 255
    return np.ascontiguousarray(levels[0].permute(1, 2, 0).to(torch.uint8).numpy())
