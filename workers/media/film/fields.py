"""Fields: how interlaced and telecined frames are woven, and whole frames made of them.

An interlaced frame holds two fields, one in its even lines and one in its odd ones, that were taken one after the
other. Film that was spread over fields (3:2 pulldown) is put together again by weaving each frame's first field with
the other one of the same frame or of the frame before, whichever combs less; nothing is computed, so samples stay what
they were, at any depth. Of each five frames the one that repeats its neighbour is dropped. True video has no whole
frames: there FFmpeg's bwdif makes up the missing lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.format import VideoFormat
from numpy.typing import NDArray

from db.catalog.stages.steadiness import DeinterlaceParams
from workers.media import planes as frames_of
from workers.media.pixels import Layout, Plane, Planes

FieldOrder = Literal["top", "bottom"]
CYCLE = 5
"""Frames of 3:2 pulldown in which one repeats another."""
_COMB_SHARE = 8 / 255
"""Difference to both neighbouring lines, as a share of full scale, from which a sample counts as combed."""
_BLOCK = 32
"""Side of the blocks that combing and motion are looked for in: they are rarely everywhere."""
_COMBED, _COMBED_AT_LEAST = 1.5, 0.02
"""A block combs when it has so many times more combed samples than each of its fields by itself, plus such a share."""
_COMBED_SHARE = 0.05
"""Share of frames that must comb before a reel counts as woven: on film that never was, one in a hundred does."""
_CLEAN_SHARE = 0.1
"""Frames that may stay combed after matching in what was film once: where pulldown was cut, one or two do."""
_BETTER = 0.7
"""Combing that is so much less, as a factor, tells of a better match."""
_DOUBLED = 0.7
"""Difference within pairs of lines, as a share of that between pairs, below which lines stand twice: 0.67 where each
fifth does, as of 480 lines made 576; fields of two moments reach 0.8 and more."""
_REPEATED = 0.5
"""Difference to the frame before, as a share of the usual one, up to which a frame repeats it."""
_CADENCE_SHARE = 0.8
"""Share of cycles that must hold a repeated frame before any is dropped."""


@dataclass(frozen=True)
class Weave:
    """What is to be done to a reel's fields."""

    method: Literal["film", "video"]
    order: FieldOrder
    drops: bool = False
    """Whether one frame of each five repeats another, and is dropped."""

    def rate(self, rate: Fraction, *, double: bool) -> Fraction:
        """Return the rate of the frames that come out."""
        if self.method == "video":
            return 2 * rate if double else rate
        return rate * (CYCLE - 1) / CYCLE if self.drops else rate

    def describe(self, before: int, after: int) -> str:
        """Say in words what was done."""
        if self.method == "video":
            return f"video, {self.order} field first, through bwdif ({before} frames became {after})"
        drop_note = f", {before - after} of {before} frames that repeated others dropped" if self.drops else ""
        return f"film, {self.order} field first, fields matched{drop_note}"


@dataclass
class FieldAnalysis:
    """Looks at every frame of a reel in turn, and remembers some numbers of each."""

    layout: Layout
    order: FieldOrder
    _before: Planes | None = None
    _matched_before: Plane | None = None
    _combs: list[tuple[float, float]] = field(default_factory=list)
    """Combed blocks of each frame as it is, and as it is best matched."""
    _motion: list[float] = field(default_factory=list)

    def add(self, samples: Planes) -> None:
        """Look at the next frame."""
        luma = _luma(samples, self.layout)
        best_luma = luma
        as_is = best = combing(luma, self.layout.depth_bits)
        if self._before is not None and as_is:
            other = _weave(luma, _luma(self._before, self.layout), self.order)
            combs = combing(other, self.layout.depth_bits)
            if combs < _BETTER * as_is:
                best_luma, best = other, combs
        if self._matched_before is not None:
            self._motion.append(_difference(best_luma, self._matched_before))
        self._combs.append((as_is, best))
        self._before, self._matched_before = samples, best_luma

    def combing_share(self) -> float:
        """Return the share of frames that comb as they are."""
        return float(np.mean([as_is > 0 for as_is, _ in self._combs])) if self._combs else 0.0

    def residual_share(self) -> float:
        """Return the share of frames that comb even when they are best matched."""
        return float(np.mean([best > 0 for _, best in self._combs])) if self._combs else 0.0

    def weave(self, params: DeinterlaceParams) -> Weave | None:
        """Say what the reel needs; none when its frames are whole as they are."""
        if params.method == "auto" and self.combing_share() < _COMBED_SHARE:
            return None
        film = params.method == "film" or (
            params.method == "auto" and self.residual_share() <= _CLEAN_SHARE * self.combing_share()
        )
        return Weave("film", self.order, drops=self._repeats()) if film else Weave("video", self.order)

    def _repeats(self) -> bool:
        """Whether one frame in each five repeats its neighbour."""
        motion = np.array(self._motion[: len(self._motion) // CYCLE * CYCLE]).reshape(-1, CYCLE)
        moving = motion[np.median(motion, axis=1) > 0]
        if not len(moving):
            return False
        return bool(np.mean(moving.min(axis=1) < _REPEATED * np.median(moving, axis=1)) >= _CADENCE_SHARE)


def deinterlace(frames: Iterable[Planes], layout: Layout, weave: Weave, *, double: bool = False) -> Iterator[Planes]:
    """Make whole frames of a reel's frames, in order; memory holds a few of them.

    Args:
        frames: The reel's samples, from its first frame to its last.
        layout: How they stand for pictures; what comes out has the same.
        weave: What is to be done.
        double: Whether ``video`` gives a frame for every field.
    """
    if weave.method == "video":
        yield from _apply_bwdif(frames, layout, weave.order, double=double)
        return
    progressive = _match_fields(frames, layout, weave.order)
    yield from _drop_repeats(progressive, layout) if weave.drops else progressive


def combing(luma: Plane, depth_bits: int) -> float:
    """Return how much a frame combs: samples that leave both neighbouring lines in the same direction.

    Grain and fine detail do so too, but within each field as well: what is counted there is taken off, block by block.
    """
    limit = np.int32(_COMB_SHARE * (2**depth_bits - 1))
    rows = luma.astype(np.int32)
    frame_combs, field_combs = (_blocks(_comb_mask(rows, step, limit)) for step in (1, 2))
    combing_blocks = frame_combs > _COMBED * field_combs + _COMBED_AT_LEAST
    return float(((frame_combs - field_combs) * combing_blocks).sum())


def is_line_doubled(luma: Plane) -> bool:
    """Whether lines stand twice, as in whole frames that were enlarged so: one pair is alike, the next is not."""
    rows = luma[: len(luma) // 2 * 2]
    within, between = (_mean_step(rows[start:-1:2], rows[start + 1 :: 2]) for start in (0, 1))
    return min(within, between) < _DOUBLED * max(within, between)


def _mean_step(upper: Plane, lower: Plane) -> float:
    return cv2.sumElems(cv2.absdiff(upper, lower))[0] / upper.size if upper.size else float("nan")


def _comb_mask(rows: NDArray[np.int32], step: int, limit: np.int32) -> NDArray[np.float32]:
    """Return 1 for each sample that differs from those ``step`` lines above and below in one direction, else 0."""
    out = np.zeros(rows.shape, np.float32)
    if len(rows) > 2 * step:
        up, down = rows[step:-step] - rows[: -2 * step], rows[step:-step] - rows[2 * step :]
        out[step:-step] = ((up > limit) & (down > limit)) | ((up < -limit) & (down < -limit))
    return out


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of blocks; what does not fill a block at the right and lower edge is left out."""
    tall, wide = (min(_BLOCK, length) for length in values.shape)
    down, across = values.shape[0] // tall, values.shape[1] // wide
    whole_blocks = values[: down * tall, : across * wide].reshape(down, tall, across, wide)
    return np.asarray(whole_blocks.mean((1, 3)))


def _luma(samples: Planes, layout: Layout) -> Plane:
    return samples[1] if layout.model == "rgb" else samples[0]


def _weave(current: Plane, before: Plane, order: FieldOrder) -> Plane:
    """Return the first field of one frame with the second field of the frame before it."""
    frame = current.copy()
    second = 1 if order == "top" else 0
    frame[second::2] = before[second::2]
    return frame


def _match_fields(frames: Iterable[Planes], layout: Layout, order: FieldOrder) -> Iterator[Planes]:
    before: Planes | None = None
    for samples in frames:
        best = samples
        as_is = combing(_luma(samples, layout), layout.depth_bits) if before is not None else 0.0
        if before is not None and as_is:
            other = tuple(_weave(current, then, order) for current, then in zip(samples, before, strict=True))
            if combing(_luma(other, layout), layout.depth_bits) < _BETTER * as_is:
                best = other
        # Frames may share memory with the decoder's, and one is looked back upon.
        before = tuple(plane.copy() for plane in samples)
        yield best


def _drop_repeats(frames: Iterable[Planes], layout: Layout) -> Iterator[Planes]:
    """Drop of each five frames the one that repeats the frame before it.

    It is the one in the same place as in the five before, while that one does; film may repeat frames of its own.
    """
    cycle: list[Planes] = []
    differences: list[float] = []
    last: Plane | None = None
    place = CYCLE - 1
    for samples in frames:
        copies = tuple(plane.copy() for plane in samples)
        luma = _luma(copies, layout)
        differences.append(np.inf if last is None else _difference(luma, last))
        cycle.append(copies)
        last = luma
        if len(cycle) == CYCLE:
            if differences[place] >= _REPEATED * float(np.median(differences)):
                place = int(np.argmin(differences))
            yield from (entry for number, entry in enumerate(cycle) if number != place)
            cycle, differences = [], []
    # What is left over at the end is part of a cycle that goes on as the one before it.
    yield from (entry for number, entry in enumerate(cycle) if number != place)


def _difference(current: Plane, previous: Plane) -> float:
    """Return the largest mean difference of any block."""
    return float(_blocks(np.abs(current.astype(np.float32) - previous)).max())


def _apply_bwdif(frames: Iterable[Planes], layout: Layout, order: FieldOrder, *, double: bool) -> Iterator[Planes]:
    # The filter knows grey of 8 and 16 bits alone; samples of 9 to 15 bits travel in 16 as they are.
    carrier = Layout("gray", 16) if layout.model == "gray" and layout.depth_bits > 8 else layout
    top = layout.dtype.type(2**layout.depth_bits - 1)
    push: Callable[[Planes | None], Iterator[Planes]] | None = None
    count = 0
    for samples in frames:
        if push is None:
            push = _bwdif_graph(samples[0].shape, carrier, order, double=double)
        for output in push(samples):
            count += 1
            yield tuple(np.minimum(plane, top) for plane in output)
    if push is not None:
        for output in push(None):
            yield tuple(np.minimum(plane, top) for plane in output)


def _bwdif_graph(
    size: tuple[int, ...], carrier: Layout, order: FieldOrder, *, double: bool
) -> Callable[[Planes | None], Iterator[Planes]]:
    """Set the filter up; returns a function that is given a frame (none ends the reel) and yields what is ready."""
    graph, (height, width) = Graph(), size
    format_ = VideoFormat(frames_of.planar_format(carrier), width, height)
    options = f"mode={'send_field' if double else 'send_frame'}:parity={'tff' if order == 'top' else 'bff'}:deint=all"
    source = graph.add_buffer(width=width, height=height, format=format_, time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("bwdif", options), graph.add("buffersink")).configure()
    numbers = iter(range(1 << 62))

    def push(samples: Planes | None) -> Iterator[Planes]:
        frame = None
        if samples is not None:
            frame = frames_of.planar_frame(samples, carrier)
            frame.pts, frame.time_base = next(numbers), Fraction(1, 25)
        graph.vpush(frame)
        while True:
            try:
                ready = graph.vpull()
            except (FFmpegError, EOFError):
                return
            yield tuple(plane.copy() for plane in frames_of.to_planes(ready, carrier))

    return push
