"""CIE Lab from sRGB and back, on tensors, with the constants that scikit-image uses.

D65 white (0.95047, 1, 1.08883), two-degree observer, sRGB gamma. Nearly every published colorizer was trained on just
these numbers, so its own preparation and ours agree. L is 0..100; a and b are about -110..110.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# fmt: off
_XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_RGB_FROM_XYZ = (
    (3.24048134, -1.53715152, -0.49853633), (-0.96925495, 1.87599, 0.04155593), (0.05564664, -0.20404134, 1.05731107),
)
# fmt: on
_WHITE = (0.95047, 1.0, 1.08883)
_CUBE_ABOVE, _CUBE_ABOVE_ROOT = 0.008856, 0.2068966
_SLOPE, _OFFSET = 7.787, 16 / 116


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Return Lab ``(N, 3, H, W)`` of sRGB ``(N, 3, H, W)`` in 0..1, in the dtype that came in."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).clamp_min(0) ** 2.4, rgb / 12.92)
    xyz = _mix_channels(linear, _XYZ_FROM_RGB) / _white_point(rgb)
    roots = torch.where(xyz > _CUBE_ABOVE, xyz.clamp_min(_CUBE_ABOVE) ** (1 / 3), _SLOPE * xyz + _OFFSET)
    x, y, z = roots.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Return sRGB ``(N, 3, H, W)`` clipped to 0..1 of Lab ``(N, 3, H, W)``, in the dtype that came in."""
    return _to_srgb(lab).clamp(0, 1)


def clip_to_gamut(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Return sRGB ``(N, 3, H, W)`` of L ``(N, 1, H, W)`` and a, b ``(N, 2, H, W)``.

    Where sRGB has no such colour at that lightness, colour is taken back towards grey as far as needed: clipping the
    channels one by one would turn the hue and change the lightness. Grey itself comes back as it was.
    """
    gray = _to_srgb(torch.cat([lightness, torch.zeros_like(chroma)], dim=-3))
    apart = _to_srgb(torch.cat([lightness, chroma], dim=-3)) - gray
    room = torch.where(apart > 0, 1 - gray, -gray) / torch.where(apart == 0, 1, apart)
    share = torch.where(apart == 0, 1, room).amin(dim=-3, keepdim=True).clamp(0, 1)
    return gray + share * apart


def _to_srgb(lab: Tensor) -> Tensor:
    light, a, b = lab.unbind(-3)
    y = (light + 16) / 116
    roots = torch.stack([y + a / 500, y, (y - b / 200).clamp_min(0)], dim=-3)
    xyz = torch.where(roots > _CUBE_ABOVE_ROOT, roots**3, (roots - _OFFSET) / _SLOPE) * _white_point(lab)
    linear = _mix_channels(xyz, _RGB_FROM_XYZ)
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, 12.92 * linear)


def merge_chroma(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Return sRGB ``(N, 3, H, W)`` of L ``(N, 1, H, W)`` and a, b ``(N, 2, h, w)``, which are brought to L's size."""
    size = tuple(lightness.shape[-2:])
    if tuple(chroma.shape[-2:]) != size:
        # Chroma is smooth: enlarged bicubically it keeps 2 dB more than with its neighbour's value.
        shrinks = chroma.shape[-2] > size[0] or chroma.shape[-1] > size[1]
        chroma = functional.interpolate(chroma, size=size, mode="bicubic", antialias=shrinks)
    return clip_to_gamut(lightness, chroma)


def lightness(rgb: Tensor) -> Tensor:
    """Return L ``(N, 1, H, W)``, 0..100, of sRGB ``(N, 3, H, W)`` or of grey ``(N, 1, H, W)``."""
    return rgb_to_lab(rgb.expand(*rgb.shape[:-3], 3, *rgb.shape[-2:]))[..., :1, :, :]


def _mix_channels(planes: Tensor, rows: tuple[tuple[float, float, float], ...]) -> Tensor:
    # Written out: a matrix product may sum in another order on another number of threads.
    first, second, third = planes.unbind(-3)
    return torch.stack([p * first + q * second + r * third for p, q, r in rows], dim=-3)


def _white_point(like: Tensor) -> Tensor:
    return torch.tensor(_WHITE, dtype=like.dtype, device=like.device)[:, None, None]
