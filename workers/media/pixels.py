"""Exact arithmetic between stored samples and float pictures.

Nothing is clipped on the way in: foot and head room of limited-range film stay as values below 0 and above 1. On the
way out samples are rounded half to even and clipped to what the layout can hold. Every step is one float32 operation
per sample, so a value never depends on its neighbours in memory, on threads or on batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.media import transfer
from workers.media.transfer import Transfer
from workers.ops.strips import aligned, strips

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
    out = aligned((layout.channels, *planes[0].shape), np.float32)
    if layout.model != "yuv":
        for channel, plane in zip(out, planes, strict=True):
            _to_display(plane, low, span, layout, channel)
        return out
    for rows, spare in strips(planes[0].shape, 3, layout.shrink[1]):
        luma, chroma = _scale(planes[0][rows], low, span, spare[0]), spare[1:]
        _enlarge_chroma(planes[1:], layout, rows, chroma)
        _from_luma(luma, chroma, WEIGHTS[layout.matrix], out[:, rows])
    return transfer.to_display(out, layout.transfer)


def to_planes(picture: Picture, layout: Layout) -> Planes:
    """Turn a ``(C, H, W)`` picture into samples, rounded half to even and clipped; chroma is thinned out by its siting.

    A chroma sample that lies between luma samples is the mean of those that it stands for; one that lies on a luma
    column is weighted as a triangle over the columns around it (1, 2, 1 where chroma has half the width).
    """
    picture = transfer.from_display(picture, layout.transfer)
    if layout.floating:
        return tuple(_to_float_samples(channel, layout) for channel in picture)
    low, span = luma_scale(layout)
    planes = _empty_planes(layout, *picture.shape[1:])
    if layout.model != "yuv":
        for rows, (spare,) in strips(picture.shape[1:], 1):
            for channel, plane in zip(picture, planes, strict=True):
                _quantize(channel[rows], low, span, layout, spare, plane[rows])
        return planes
    middle, chroma_span = chroma_scale(layout)
    for rows, spare in strips(picture.shape[1:], 5, layout.shrink[1]):
        luma, chroma = _split_luma(picture[:, rows], layout, spare[:3])
        _quantize(luma, low, span, layout, luma, planes[0][rows])
        sums, count = _thin_chroma(chroma, layout, spare[3:])
        for plane, values in zip(planes[1:], sums, strict=True):
            _quantize(values, middle, chroma_span / count, layout, values, plane[_chroma_rows(rows, layout)])
    return planes


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
    low, span = luma_scale(layout)
    _, chroma_span = chroma_scale(layout)
    stored = [transfer.from_display(side, layout.transfer) for side in (before, after)]
    changed = planes[0].copy(), *(np.minimum(plane, 2**layout.depth_bits - 1) for plane in planes[1:])
    for rows, spare in strips(planes[0].shape, 6, layout.shrink[1]):
        red, green, blue = (one[rows] == other[rows] for one, other in zip(before, after, strict=True))
        same = red & green & blue
        if same.all():
            continue
        _, old = _split_luma(stored[0][:, rows], layout, spare[:3])
        luma, new = _split_luma(stored[1][:, rows], layout, spare[3:])
        _quantize(luma, low, span, layout, luma, changed[0][rows])
        cv2.copyTo(planes[0][rows], same.view(np.uint8), changed[0][rows])
        new -= old
        moves, count = _thin_chroma(new, layout, old)
        own = _chroma_rows(rows, layout)
        for plane, move, out in zip(planes[1:], moves, changed[1:], strict=True):
            move *= chroma_span / count
            move += plane[own]
            _round(move, layout, out[own])
    return changed


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


def _empty_planes(layout: Layout, height: int, width: int) -> Planes:
    across, down = layout.shrink
    small = (-(-height // down), -(-width // across))
    sizes = [(height, width), *[small if layout.model == "yuv" else (height, width)] * (layout.channels - 1)]
    return tuple(np.empty(size, layout.dtype) for size in sizes)


def _chroma_rows(rows: slice, layout: Layout) -> slice:
    """Return the rows of chroma that a strip of luma has."""
    down = layout.shrink[1]
    return slice(rows.start // down, -(-rows.stop // down))


def _quantize(
    values: Picture, low: np.float32, span: np.float32, layout: Layout, spare: Picture, out: Plane
) -> None:  # fmt: skip
    """Write the samples of ``values`` to ``out``; ``spare`` may be their own memory if they are not needed any more."""
    np.multiply(values, span, out=spare)
    if low:
        spare += low
    _round(spare, layout, out)


def _round(samples: Picture, layout: Layout, out: Plane) -> None:
    """Write samples to ``out``, rounded half to even and clipped; their memory is used."""
    np.rint(samples, out=samples)
    # With a row of bounds NumPy takes a third of the time that it takes with one number.
    for bound, value in ((np.maximum, 0), (np.minimum, 2**layout.depth_bits - 1)):
        bound(samples, np.full(samples.shape[1], value, np.float32), out=samples)
    np.copyto(out, samples, casting="unsafe")


def _from_luma(luma: Picture, chroma: Picture, weights: tuple[float, float], out: Picture) -> None:
    """Write RGB to ``out``; the memory of ``chroma``, differences of blue and of red, is used."""
    (red_share, blue_share), (blue, red) = weights, chroma
    green_share = 1 - red_share - blue_share
    np.multiply(red, np.float32(2 * (1 - red_share)), out=out[0])
    np.multiply(blue, np.float32(2 * (1 - blue_share)), out=out[2])
    # Green follows from the two others, since the three shares of luma add up to one.
    np.multiply(out[0], np.float32(-red_share / green_share), out=out[1])
    out[1] -= np.multiply(out[2], np.float32(blue_share / green_share), out=blue)
    out += luma


def _split_luma(picture: Picture, layout: Layout, out: Picture) -> tuple[Picture, Picture]:
    """Return luma 0..1 and the differences of blue and of red -0.5..0.5, all of full size, in the memory of ``out``."""
    red_share, blue_share = WEIGHTS[layout.matrix]
    red, green, blue = picture
    luma, chroma = out[0], out[1:]
    np.multiply(red, np.float32(red_share), out=luma)
    luma += np.multiply(green, np.float32(1 - red_share - blue_share), out=chroma[0])
    luma += np.multiply(blue, np.float32(blue_share), out=chroma[0])
    for difference, color, share in zip(chroma, (blue, red), (blue_share, red_share), strict=True):
        np.subtract(color, luma, out=difference)
        difference /= np.float32(2 * (1 - share))
    return luma, chroma


def _thin_chroma(values: Picture, layout: Layout, spare: Picture) -> tuple[Picture, int]:
    """Return a strip of chroma planes ``(2, rows, W)`` thinned out, times a power of two, and that power.

    To divide by it rounds nothing, so that is left to the next scaling. All memory given is used.
    """
    across, down = layout.shrink
    count = 1
    if across > 1:
        values, count = _thin_columns(values, across, layout.centered, spare)
    if down > 1:
        groups = _hold_edge(values, 1, down).reshape(2, -1, down, values.shape[2])
        values, count = groups[:, :, 0] + groups[:, :, 1], count * down
        for at in range(2, down):
            values += groups[:, :, at]
    return values, count


def thinning_weights(factor: int, centered: bool) -> tuple[int, list[float]]:
    """Return the weights of the samples that become one, and how far the first lies from ``factor`` times its place."""
    if centered:
        return 0, [1.0] * factor
    return 1 - factor, [float(factor - abs(at)) for at in range(1 - factor, factor)]


def _thin_columns(values: Picture, factor: int, centered: bool, spare: Picture) -> tuple[Picture, int]:
    """Return weighted sums of columns ``(2, rows, W / factor)``, edge samples held, and what weights add up to."""
    first, weights = thinning_weights(factor, centered)
    values = _hold_edge(values, 2, factor)
    size = values.shape[0] * values.shape[1], values.shape[2] // factor
    edge = values.reshape(size[0], -1)[:, :1].copy()
    # Side by side: to add up every second float takes as long as to add up all.
    phases = spare.reshape(factor, *size) if spare.size == values.size else np.empty((factor, *size), np.float32)
    cv2.split(values.reshape(*size, factor), [*phases])
    sums, weighted, *_ = values.reshape(factor, *size)
    for at, weight in enumerate(weights, start=first):
        held = ((slice(0, 1), edge), (slice(1, None), phases[at][:, :-1]))
        for place, part in held if at < 0 else ((slice(None), phases[at]),):
            if at == first:  # of weight 1
                sums[:, place] = part
            else:
                sums[:, place] += part if weight == 1 else np.multiply(part, np.float32(weight), out=weighted[:, place])
    return sums.reshape(2, -1, size[1]), round(sum(weights))


def _hold_edge(values: Picture, axis: int, factor: int) -> Picture:
    """Repeat the last row or column of planes until there are a multiple of ``factor``."""
    missing = -values.shape[axis] % factor
    if not missing:
        return values
    last = values[:, -1:] if axis == 1 else values[:, :, -1:]
    return np.concatenate([values, *[last] * missing], axis=axis)


def _enlarge_chroma(planes: Planes, layout: Layout, rows: slice, out: Picture) -> None:
    """Write a strip of both chroma planes at luma's size to ``out``, as colour differences -0.5..0.5."""
    across, down = layout.shrink
    middle, span = chroma_scale(layout)
    own = _chroma_rows(rows, layout)
    # Rows of 4:2:0 lie between luma rows under either convention, so those above and below have a part in it.
    first, last = (max(0, own.start - 1), own.stop + 1) if down > 1 else (own.start, own.stop)
    # In whole numbers, as many times a sample as it has parts, nothing is rounded, in whatever order it is summed up.
    kind = np.int16 if layout.depth_bits == 8 else np.float32
    values = np.stack([plane[first:last] for plane in planes]).astype(kind)
    np.subtract(values, kind(middle), out=values)
    (parts_down, shares_down), (parts_across, shares_across) = _shares(down, True), _shares(across, layout.centered)
    if down > 1:
        values = np.stack(_phases(values, 1, parts_down, shares_down), axis=2).reshape(2, -1, values.shape[2])
        values = values[:, (own.start - first) * down :][:, : out.shape[1]]
    if across > 1:
        phases = [phase.reshape(-1, phase.shape[2]) for phase in _phases(values, 2, parts_across, shares_across)]
        values = cv2.merge(phases).reshape(2, out.shape[1], -1)[:, :, : out.shape[2]]
    np.copyto(out, values)
    out /= span * (parts_down * parts_across)


def _shares(factor: int, centered: bool) -> tuple[int, list[int]]:
    """Return of how many parts an enlarged sample is made, and how many of each phase are the next sample's.

    Where that is less than 0 they are the sample's before.
    """
    if factor == 1 or not centered:
        return factor, [*range(factor)]
    return 2 * factor, [2 * phase + 1 - factor for phase in range(factor)]


def _phases(values: NDArray[Any], axis: int, parts: int, shares: list[int]) -> list[NDArray[Any]]:
    """Return what planes are interpolated to at each phase of an axis, times ``parts``; edge samples are held."""
    kind, phases = values.dtype.type, []
    for share in shares:
        phase = values * kind(parts - abs(share))
        if share:
            neighbor = _neighbors(values, axis, share > 0)
            phase += neighbor if abs(share) == 1 else neighbor * kind(abs(share))
        phases.append(phase)
    return phases


def _neighbors(values: NDArray[Any], axis: int, is_after: bool) -> NDArray[Any]:
    """Return the sample before or after each one along an axis of planes; at the edge itself."""
    inner, edge = (slice(1, None), slice(-1, None)) if is_after else (slice(None, -1), slice(None, 1))
    parts = [values[:, part] if axis == 1 else values[:, :, part] for part in (inner, edge)]
    return np.concatenate(parts if is_after else parts[::-1], axis=axis)
