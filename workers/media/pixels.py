"""Exact arithmetic between stored samples and float pictures.

Nothing is clipped on the way in: foot and head room of limited-range film stay as values below 0 and above 1. On the
way out samples are rounded half to even and clipped to what the layout can hold. Every step is one float32 operation
per sample, so a value never depends on its neighbours in memory, on threads or on batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workers.media import transfer
from workers.media.transfer import Transfer

Plane = NDArray[Any]
"""``(H, W)`` uint8 or uint16 samples; float16 or float32 where the layout is ``floating``."""
Planes = tuple[Plane, ...]
"""Y · R, G, B · Y, Cb, Cr; chroma planes may be smaller."""
Picture = NDArray[np.float32]
"""``(C, H, W)`` float32, one channel or RGB, 0..1 with room on both sides, gamma as stored; of log and linear samples
what a display is sent."""

WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""Share of red and of blue in luma, by FFmpeg's name of the matrix."""
COLOR_SPREAD = 0.015
"""``chroma_spread`` above which a picture has colours of its own: toned prints on uneven paper reach 0.014."""
_TONE_BLOCK = 1 << 13
_FROM_RGB = np.array([[0.299, 0.587, 0.114], [1, -1, 0], [0, -1, 1]])
"""Luma, and what red and blue differ from green by."""


@dataclass(frozen=True)
class Layout:
    """How samples stand for a picture."""

    model: Literal["gray", "rgb", "yuv"]
    depth_bits: int
    """Bits of a sample, 8 to 16; 16 or 32 where it is ``floating``."""
    full_range: bool = True
    """Whether black and white are the smallest and largest sample."""
    matrix: str = "rgb"
    """A key of :data:`WEIGHTS` for ``yuv``; else ``rgb``."""
    shrink: tuple[int, int] = (1, 1)
    """How many times narrower and lower the chroma planes are."""
    centered: bool = False
    """Whether chroma samples lie between luma columns (JPEG) and not on the left one (MPEG)."""
    transfer: Transfer = "gamma"
    """How samples stand for light; a picture is always in display gamma."""
    floating: bool = False
    """Whether samples are floating point numbers, with 1 for white: grey or RGB of any value."""

    @property
    def channels(self) -> int:
        """Channels of the float picture: 1 or 3."""
        return 1 if self.model == "gray" else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        if self.floating:
            return np.dtype(np.float16 if self.depth_bits == 16 else np.float32)
        return np.dtype(np.uint8 if self.depth_bits == 8 else np.uint16)

    @property
    def with_full_chroma(self) -> Layout:
        """The same with chroma planes of full size."""
        return replace(self, shrink=(1, 1), centered=False)


def to_picture(planes: Planes, layout: Layout) -> Picture:
    """Turn samples into a ``(C, H, W)`` picture; chroma is enlarged bilinearly by its siting."""
    low, span = luma_scale(layout)
    out = np.empty((layout.channels, *planes[0].shape), np.float32)
    if layout.model != "yuv":
        for channel, plane in zip(out, planes, strict=True):
            _to_display(plane, low, span, layout, channel)
        return out
    blue, red = (_upsample_chroma(plane, layout, out.shape[1:]) for plane in planes[1:])
    middle, chroma_span = chroma_scale(layout)
    for chroma in (blue, red):
        chroma -= middle
        chroma /= chroma_span
    luma = _scale(planes[0], low, span, np.empty(out.shape[1:], np.float32))
    return transfer.to_display(_from_luma(luma, blue, red, WEIGHTS[layout.matrix], out), layout.transfer)


def to_planes(picture: Picture, layout: Layout) -> Planes:
    """Turn a ``(C, H, W)`` picture into samples, rounded half to even and clipped; chroma is thinned out by its siting.

    A chroma sample that lies between luma samples is the mean of those that it stands for; one that lies on a luma
    column is weighted as a triangle over the columns around it (1, 2, 1 where chroma has half the width).
    """
    low, span = luma_scale(layout)
    picture = transfer.from_display(picture, layout.transfer)
    if layout.floating:
        return tuple(_to_float_samples(channel, layout) for channel in picture)
    if layout.model != "yuv":
        return tuple(_quantize(channel, low, span, layout) for channel in picture)
    luma, *chroma = _split_luma(picture, layout)
    middle, chroma_span = chroma_scale(layout)
    thin = (_thin_chroma(difference, layout) for difference in chroma)
    return _quantize(luma, low, span, layout), *(_quantize(plane, middle, chroma_span, layout) for plane in thin)


def change_planes(planes: Planes, before: Picture, after: Picture, layout: Layout) -> Planes:
    """Return a source's samples, changed as a picture was.

    Where the picture did not change, samples are the source's own: luma of each such pixel, and each chroma sample
    that no changed pixel has a part in (:func:`to_planes` says which have). Elsewhere a chroma sample moves by what the
    picture's chroma moved there; what thinning and enlarging would do to the rest of it is left out.

    Args:
        planes: The source's samples, Y, Cb, Cr.
        before: The picture ``(3, H, W)`` that :func:`to_picture` makes of them.
        after: What became of it.
        layout: Of the samples; ``yuv``.
    """
    old, new = (_split_luma(transfer.from_display(side, layout.transfer), layout) for side in (before, after))
    low, span = luma_scale(layout)
    same = (before == after).all(axis=0)
    luma = np.where(same, planes[0], _quantize(new[0], low, span, layout))
    _, chroma_span = chroma_scale(layout)
    moved = (_thin_chroma(to - from_, layout) for from_, to in zip(old[1:], new[1:], strict=True))
    chroma = (_quantize_sum(plane, move, chroma_span, layout) for plane, move in zip(planes[1:], moved, strict=True))
    return luma, *chroma


def black(layout: Layout, size: tuple[int, int]) -> Picture:
    """Return a black picture of ``size`` (height, width)."""
    return np.zeros((layout.channels, *size), np.float32)


def has_color(picture: Picture) -> bool:
    """Whether a picture ``(C, H, W)`` has colours of its own; a tint over all is none."""
    layout = Layout("gray" if len(picture) == 1 else "rgb", 16)
    return chroma_spread(to_planes(picture, layout), layout) > COLOR_SPREAD


def chroma_spread(planes: Planes, layout: Layout) -> float:
    """Return how far colours differ from one another in a picture, as a share of full scale.

    The standard deviation of what of the colour differences does not follow from luma: a print's tone (sepia,
    a cast) is one colour for each lightness, and has none.
    """
    if layout.model == "gray":
        return 0.0
    if layout.floating or layout.transfer != "gamma":
        step = max(1, planes[0].shape[0] // 256)
        picture = to_picture(tuple(plane[::step, ::step] for plane in planes), layout)
        layout, planes = Layout("rgb", 16), to_planes(picture, Layout("rgb", 16))
    across, down = layout.shrink
    step = max(1, planes[1].shape[0] // 256)
    sampled = np.stack([planes[0][:: down * step, :: across * step], *(plane[::step, ::step] for plane in planes[1:])])
    samples = sampled.reshape(3, -1).astype(np.float64) / (2**layout.depth_bits - 1)
    luma, *pair = _FROM_RGB @ samples if layout.model == "rgb" else samples
    return float(_tone_residuals(luma, np.stack(pair)).max())


def _tone_residuals(luma: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each row of ``values`` ``(R, N)`` strays from the polynomial of ``luma`` that comes nearest to it.

    Solved by the normal equations, four by four; over -1 to 1 they are well conditioned. Where luma has fewer levels
    than the polynomial has terms, the least solution is taken.
    """
    place = luma - luma.mean()
    place /= max(place.max(), -place.min(), np.finfo(np.float64).tiny)
    # In blocks that the processor's cache holds, twice: fresh memory for all powers would cost more than the sums.
    blocks = [slice(at, at + _TONE_BLOCK) for at in range(0, place.size, _TONE_BLOCK)]
    sums = np.zeros((4, 2 + len(values)))
    for block in blocks:
        powers = _powers(place[block])
        sums += powers @ np.concatenate([powers[::3], values[:, block]]).T
    # Of powers times powers there are only seven sums, each of a power up to the sixth.
    of_power = np.concatenate([sums[:, 0], sums[1:, 1]])
    products = of_power[np.add.outer(np.arange(4), np.arange(4))]
    share = np.linalg.lstsq(products, sums[:, 2:], rcond=None)[0].T
    squares = np.zeros(len(values))
    for block in blocks:
        stray = values[:, block] - share @ _powers(place[block])
        squares += np.einsum("rn,rn->r", stray, stray)
    residuals: NDArray[np.float64] = np.sqrt(squares / place.size)
    return residuals


def _powers(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the powers 0 to 3 ``(4, N)``."""
    powers = np.ones((4, place.size))
    for degree in range(1, 4):
        np.multiply(powers[degree - 1], place, out=powers[degree])
    return powers


def luma_scale(layout: Layout) -> tuple[np.float32, np.float32]:
    """Return the sample of black, and by how much that of white lies above it; of grey, of R, G and B, and of luma."""
    if layout.floating:
        return np.float32(0), np.float32(1)
    if layout.full_range:
        return np.float32(0), np.float32(2**layout.depth_bits - 1)
    unit = 2 ** (layout.depth_bits - 8)
    return np.float32(16 * unit), np.float32(219 * unit)


def chroma_scale(layout: Layout) -> tuple[np.float32, np.float32]:
    """Return the chroma sample of grey, and how many samples a colour difference of 1 is."""
    middle = np.float32(2 ** (layout.depth_bits - 1))
    span = 2**layout.depth_bits - 1 if layout.full_range else 224 * 2 ** (layout.depth_bits - 8)
    return middle, np.float32(span)


def _scale(plane: Plane, low: np.float32, span: np.float32, out: Picture) -> Picture:
    # Converting first and then working in place is several times faster than one mixed-type operation.
    out[:] = plane
    if low:
        out -= low
    out /= span
    return out


def _to_display(plane: Plane, low: np.float32, span: np.float32, layout: Layout, out: Picture) -> None:
    if layout.floating:
        out[:] = transfer.to_display(plane.astype(np.float32), layout.transfer)
    elif layout.transfer == "gamma":
        _scale(plane, low, span, out)
    else:
        # There are at most 65,536 samples: looking them up is faster than powers, and the same on every machine.
        np.take(transfer.table(layout.transfer, layout.depth_bits, float(low), float(span)), plane, out=out)


def _to_float_samples(values: Picture, layout: Layout) -> Plane:
    largest = np.finfo(layout.dtype).max
    return np.clip(values, -largest, largest).astype(layout.dtype)


def _quantize(values: Picture, low: np.float32, span: np.float32, layout: Layout) -> Plane:
    samples = values * span
    samples += low
    np.rint(samples, out=samples)
    np.clip(samples, 0, 2**layout.depth_bits - 1, out=samples)
    return samples.astype(layout.dtype)


def _from_luma(luma: Picture, blue: Picture, red: Picture, weights: tuple[float, float], out: Picture) -> Picture:
    red_share, blue_share = weights
    green_share = 1 - red_share - blue_share
    np.multiply(red, np.float32(2 * (1 - red_share)), out=out[0])
    np.multiply(blue, np.float32(2 * (1 - blue_share)), out=out[2])
    # Green follows from the two others, since the three shares of luma add up to one.
    np.multiply(out[0], np.float32(-red_share / green_share), out=out[1])
    out[1] -= out[2] * np.float32(blue_share / green_share)
    out += luma
    return out


def _split_luma(picture: Picture, layout: Layout) -> tuple[Picture, Picture, Picture]:
    """Return luma 0..1 and the differences of blue and of red -0.5..0.5, all of full size."""
    red_share, blue_share = WEIGHTS[layout.matrix]
    red, green, blue = picture
    luma = red * np.float32(red_share)
    luma += green * np.float32(1 - red_share - blue_share)
    luma += blue * np.float32(blue_share)
    return luma, (blue - luma) / np.float32(2 * (1 - blue_share)), (red - luma) / np.float32(2 * (1 - red_share))


def _quantize_sum(plane: Plane, move: Picture, span: np.float32, layout: Layout) -> Plane:
    samples = move * span
    samples += plane
    np.rint(samples, out=samples)
    np.clip(samples, 0, 2**layout.depth_bits - 1, out=samples)
    return samples.astype(layout.dtype)


def _thin_chroma(values: Picture, layout: Layout) -> Picture:
    across, down = layout.shrink
    return _thin_axis(_thin_axis(values, 1, across, layout.centered), 0, down, True)


def thinning_weights(factor: int, centered: bool) -> tuple[int, list[float]]:
    """Return the weights of the samples that become one, and how far the first lies from ``factor`` times its place."""
    if centered:
        return 0, [1.0] * factor
    return 1 - factor, [float(factor - abs(at)) for at in range(1 - factor, factor)]


def _thin_axis(values: Picture, axis: int, factor: int, centered: bool) -> Picture:
    """Make one axis ``factor`` times shorter, edge samples held beyond the edge."""
    if factor == 1:
        return values
    length = values.shape[axis]
    count = -(-length // factor)
    first, weights = thinning_weights(factor, centered)
    total = np.zeros((count, values.shape[1]) if axis == 0 else (values.shape[0], count), np.float32)
    for offset, weight in enumerate(weights, start=first):
        begin = int(offset < 0)
        inner = _along(values, axis, slice(begin * factor + offset, (count - 1) * factor + offset + 1, factor))
        end = begin + inner.shape[axis]
        edges = (slice(0, begin), slice(0, 1)), (slice(end, count), slice(length - 1, length))
        for place, part in ((slice(begin, end), inner), *((at, _along(values, axis, source)) for at, source in edges)):
            sums = _along(total, axis, place)
            sums += part if weight == 1 else part * np.float32(weight)
    total /= np.float32(sum(weights))
    return total


def _upsample_chroma(plane: Plane, layout: Layout, size: tuple[int, ...]) -> Picture:
    across, down = layout.shrink
    values = _upsample_axis(plane.astype(np.float32), 1, across, layout.centered, size[1])
    # Rows of 4:2:0 lie between luma rows under either convention.
    return _upsample_axis(values, 0, down, True, size[0])


def _upsample_axis(values: Picture, axis: int, factor: int, centered: bool, length: int) -> Picture:
    """Enlarge along one axis by linear interpolation, holding the edge samples."""
    if factor == 1:
        return values
    shape = [*values.shape]
    shape[axis] *= factor
    out = np.empty(shape, np.float32)
    step = np.empty_like(values)
    first, last = (slice(None, 1), slice(1, None)), (slice(-1, None), slice(None, -1))
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5 if centered else phase / factor
        edge, inner = last if offset >= 0 else first
        other = first[1] if offset >= 0 else last[1]
        # The difference to the neighbour on that side; beyond the edge there is none.
        np.subtract(_along(values, axis, other), _along(values, axis, inner), out=_along(step, axis, inner))
        _along(step, axis, edge)[:] = 0
        step *= np.float32(abs(offset))
        np.add(values, step, out=_along(out, axis, slice(phase, None, factor)))
    return _along(out, axis, slice(0, length))


def _along(values: Picture, axis: int, part: slice) -> Picture:
    return values[part] if axis == 0 else values[:, part]
