"""What ``workers.media.pixels`` does, in tensors, on the device on which frames are restored: the same bits.

Samples of 8 and 16 bits are a quarter and a half of a picture's bytes, so they are what crosses to a device and back.
Every step is one float32 operation a sample, in the order of ``pixels``; axes before the last ones are kept as they
are, so one frame and many are treated alike. Samples of 16 bits are held as ``int16`` of the same bits: few devices
compute with unsigned ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers import device
from workers.media.pixels import WEIGHTS, Layout, Planes, chroma_scale, luma_scale, thinning_weights

Samples = tuple[Tensor, ...]
"""Planes ``(…, H, W)`` uint8 or int16, in the order of ``pixels.Planes``; chroma planes may be smaller."""


def can_convert(layout: Layout) -> bool:
    """Whether samples of a layout can be converted here: those of log, of light and of floating point cannot."""
    return layout.transfer == "gamma" and not layout.floating


def upload(frames: Sequence[Planes], name: str) -> Samples:
    """Return the samples of frames on a device, stacked: planes ``(T, H, W)``."""
    return tuple(device.stack([_signed(plane) for plane in planes], name) for planes in zip(*frames, strict=True))


def download(samples: Samples, layout: Layout) -> Planes:
    """Return samples in main memory."""
    return tuple(device.download(plane).view(layout.dtype) for plane in samples)


def to_picture(samples: Samples, layout: Layout) -> Tensor:
    """Return the pictures ``(…, C, H, W)`` float32 of samples; ``layout`` is one that :func:`can_convert`."""
    low, span = luma_scale(layout)
    if layout.model != "yuv":
        return torch.stack([_scale(_values(plane), low, span) for plane in samples], dim=-3)
    height, width = samples[0].shape[-2:]
    middle, chroma_span = chroma_scale(layout)
    enlarged = (_upsample(_values(plane), layout, (height, width)) for plane in samples[1:])
    blue, red = (_scale(plane, middle, chroma_span) for plane in enlarged)
    return _from_luma(_scale(_values(samples[0]), low, span), blue, red, layout)


def to_planes(picture: Tensor, layout: Layout) -> Samples:
    """Return the samples of pictures ``(…, C, H, W)``, rounded half to even and clipped."""
    low, span = luma_scale(layout)
    if layout.model != "yuv":
        return tuple(_quantize(channel * float(span) + float(low), layout) for channel in picture.unbind(-3))
    luma, *chroma = _split_luma(picture, layout)
    middle, chroma_span = chroma_scale(layout)
    thin = (_thin(difference, layout) * float(chroma_span) + float(middle) for difference in chroma)
    return _quantize(luma * float(span) + float(low), layout), *(_quantize(plane, layout) for plane in thin)


def change_planes(samples: Samples, before: Tensor, after: Tensor, layout: Layout) -> Samples:
    """Return a source's samples, changed as a picture ``(…, 3, H, W)`` was; ``pixels.change_planes`` says how."""
    old, new = _split_luma(before, layout), _split_luma(after, layout)
    low, span = luma_scale(layout)
    same = (before == after).all(dim=-3)
    luma = torch.where(same, samples[0], _quantize(new[0] * float(span) + float(low), layout))
    _, chroma_span = chroma_scale(layout)
    moved = (_thin(to - from_, layout) * float(chroma_span) for from_, to in zip(old[1:], new[1:], strict=True))
    chroma = (move + _values(plane) for plane, move in zip(samples[1:], moved, strict=True))
    return luma, *(_quantize(plane, layout) for plane in chroma)


def _signed(plane: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return plane.view(np.int16) if plane.dtype == np.uint16 else plane


def _values(plane: Tensor) -> Tensor:
    return plane.float() if plane.dtype == torch.uint8 else (plane.int() & 0xFFFF).float()


def _quantize(values: Tensor, layout: Layout) -> Tensor:
    rounded = values.round_().clamp_(0, 2**layout.depth_bits - 1)
    return rounded.to(torch.uint8) if layout.depth_bits == 8 else rounded.int().short()


def _scale(values: Tensor, low: np.float32, span: np.float32) -> Tensor:
    return _divide(values.sub_(float(low)), float(span))


def _divide(values: Tensor, divisor: float) -> Tensor:
    # By a plain number CUDA multiplies by its reciprocal, which rounds otherwise.
    return values.div_(torch.full((), divisor, device=values.device))


def _from_luma(luma: Tensor, blue: Tensor, red: Tensor, layout: Layout) -> Tensor:
    red_share, blue_share = WEIGHTS[layout.matrix]
    green_share = 1 - red_share - blue_share
    red, blue = red * (2 * (1 - red_share)), blue * (2 * (1 - blue_share))
    green = red * (-red_share / green_share) - blue * (blue_share / green_share)
    return torch.stack([red, green, blue], dim=-3).add_(luma.unsqueeze(-3))


def _split_luma(picture: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    red_share, blue_share = WEIGHTS[layout.matrix]
    red, green, blue = picture.unbind(-3)
    luma = red * red_share + green * (1 - red_share - blue_share) + blue * blue_share
    return luma, _divide(blue - luma, 2 * (1 - blue_share)), _divide(red - luma, 2 * (1 - red_share))


def _upsample(plane: Tensor, layout: Layout, size: tuple[int, int]) -> Tensor:
    across, down = layout.shrink
    wide = _upsample_axis(plane, -1, across, layout.centered, size[1])
    return _upsample_axis(wide, -2, down, True, size[0])


def _upsample_axis(values: Tensor, axis: int, factor: int, centered: bool, length: int) -> Tensor:
    """Enlarge along one axis by linear interpolation, holding the edge samples."""
    if factor == 1:
        return values
    inner, phases = values.shape[axis] - 1, []
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5 if centered else phase / factor
        here, beside = (0, 1) if offset >= 0 else (1, 0)
        step = torch.zeros_like(values)
        step.narrow(axis, here, inner).copy_(values.narrow(axis, beside, inner) - values.narrow(axis, here, inner))
        phases.append(values + step * abs(offset))
    # One sample of each phase after the other.
    return torch.stack(phases, dim=axis).flatten(axis - 1, axis).narrow(axis, 0, length)


def _thin(values: Tensor, layout: Layout) -> Tensor:
    across, down = layout.shrink
    return _thin_axis(_thin_axis(values, -1, across, layout.centered), -2, down, True)


def _thin_axis(values: Tensor, axis: int, factor: int, centered: bool) -> Tensor:
    """Make one axis ``factor`` times shorter, edge samples held beyond the edge."""
    if factor == 1:
        return values
    length = values.shape[axis]
    first, weights = thinning_weights(factor, centered)
    places = torch.arange(0, length, factor, device=values.device)
    total: Tensor | None = None
    for offset, weight in enumerate(weights, start=first):
        part = values.index_select(axis, (places + offset).clamp_(0, length - 1)) * weight
        total = part if total is None else total.add_(part)
    assert total is not None
    return _divide(total, sum(weights))
