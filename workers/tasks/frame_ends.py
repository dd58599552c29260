"""The two ends of a frame's way through restoration: stored samples become what stages are given, and back again.

What comes in and goes out are samples in main memory, as codecs have them. On the way in they become pictures; on the
way out pictures become samples, and are scored beside what came in. The cores do that frame by frame, with a crew of
threads beside the one that computes. Where stages run on a GPU it does that too: then samples cross and not pictures,
and between codecs and stages the cores have nothing left to do but to check what was read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import WorkError
from workers import device
from workers.background import Crew
from workers.media import device_pixels, reel
from workers.media.device_pixels import Samples
from workers.media.pixels import Layout, Picture, Planes, black, change_planes, to_planes
from workers.media.reel import IndexedReel, ShownFrame, StoredFrame
from workers.ops import planes
from workers.tasks import scoring

Span = tuple[int, int]
"""Half-open range of absolute frame numbers."""
_LEAST_SIDE_PX = 12
"""Of smaller pictures a device cannot take every score."""
_PIXELS_TOGETHER = 1 << 23
"""Of how many pixels a device makes the ends at once; they take some 150 bytes each meanwhile."""


class FinishedFrame(NamedTuple):
    """A restored frame as it is written."""

    samples: Planes
    picture: Picture | None
    """Where somebody asks for it: what waits to be written holds no more than it must."""
    scores: dict[str, float]


Finish = Callable[[torch.Tensor, Crew], Iterator[Callable[[], FinishedFrame]]]
"""Has a crew make of a restored cell ``(T, C, H, W)`` what is written, and score it beside what came in; yields for
each frame what waits for it."""


@dataclass(frozen=True)
class SourceCell:
    """Frames of a cell as they came in."""

    frames: torch.Tensor
    """``(T, C, H, W)`` float32, where stages want them."""
    sources: tuple[int, ...]
    """For each frame the number of the frame that is really shown, or ``BLACK``."""
    finish: Finish
    """Makes the end of it."""


@dataclass(frozen=True)
class FrameEnds(ABC):
    """Both ends, for one reel."""

    source: IndexedReel
    layout: Layout
    """Of the master's samples."""
    keeps_picture: bool
    """Whether somebody asks for pictures besides."""
    device: str
    """Where stages compute."""
    on_device: ClassVar[bool] = False
    """Whether it makes pictures and samples too."""

    @abstractmethod
    def cells(self, span: Span, cell_frames: int, crew: Crew, advance: Callable[[], None]) -> Iterator[SourceCell]:
        """Decode the frames of a span cell by cell; ``advance`` is called at each.

        Raises:
            InputError: ``CHANGED_DURING_WORK`` when a frame is not the one that the probe saw.
        """


def open_ends(source: IndexedReel, layout: Layout, keeps_picture: bool, name: str) -> FrameEnds:
    """Return the ends that suit a reel on a device."""
    can_convert = all(map(device_pixels.can_convert, (source.layout, layout))) and min(source.size) >= _LEAST_SIDE_PX
    # Other devices than CUDA's have no float64, which scores need.
    kind = DeviceEnds if name.startswith("cuda") and can_convert else CoreEnds
    return kind(source, layout, keeps_picture, name)


@dataclass(frozen=True)
class CoreEnds(FrameEnds):
    """Both ends on the cores."""

    def cells(self, span: Span, cell_frames: int, crew: Crew, advance: Callable[[], None]) -> Iterator[SourceCell]:
        """Decode cell by cell, each frame placed in its cell by the crew."""
        incoming = reel.read_frames(self.source, *span, crew)
        for start in range(span[0], span[1], cell_frames):
            count = min(start + cell_frames, span[1]) - start
            pictures = np.empty((count, self.source.layout.channels, *self.source.size), np.float32)
            shown = []
            for frame in crew.map(partial(_place, pictures), enumerate(islice(incoming, count))):
                shown.append(frame)
                advance()
            frames, sources = device.upload(pictures, self.device), tuple(frame.source for frame in shown)
            yield SourceCell(frames, sources, partial(self._finish, shown))

    def _finish(
        self, shown: list[ShownFrame], frames: torch.Tensor, crew: Crew
    ) -> Iterator[Callable[[], FinishedFrame]]:  # fmt: skip
        for frame, restored in zip(shown, frames, strict=True):
            yield crew.begin(self._finish_frame, frame, restored)

    def _finish_frame(self, shown: ShownFrame, frame: torch.Tensor) -> FinishedFrame:
        restored = planes.from_frame(frame)
        _check_channels(len(restored), self.layout)
        # Grey is spread over three channels where the reel has colour.
        picture = np.broadcast_to(restored, (self.layout.channels, *restored.shape[1:]))
        is_same_size = picture.shape == shown.picture.shape
        if shown.samples is not None and is_same_size and _keeps_samples(self.source.layout, self.layout):
            samples = change_planes(shown.samples, shown.picture, picture, self.layout)
        else:
            samples = to_planes(picture, self.layout)
        scores = scoring.score_frame(restored, shown.picture)
        return FinishedFrame(samples, picture if self.keeps_picture else None, scores)


@dataclass(frozen=True)
class DeviceEnds(FrameEnds):
    """Both ends on the device: samples go there and come back. Samples are the cores' to the bit, scores nearly so."""

    on_device: ClassVar[bool] = True

    def cells(self, span: Span, cell_frames: int, crew: Crew, advance: Callable[[], None]) -> Iterator[SourceCell]:
        """Decode cell by cell; a crew checks what was read."""
        incoming = reel.read_stored(self.source, *span, crew)
        for start in range(span[0], span[1], cell_frames):
            stored = []
            for frame in islice(incoming, min(start + cell_frames, span[1]) - start):
                stored.append(frame)
                advance()
            yield self._cell(stored)

    def _cell(self, stored: list[StoredFrame]) -> SourceCell:
        layout, degrees = self.source.layout, self.source.facts.rotation_degrees
        samples = device_pixels.upload([frame.samples or self._black() for frame in stored], self.device)
        pictures = device_pixels.to_picture(samples, layout)
        frames = torch.rot90(pictures, degrees // 90, (-2, -1)).contiguous() if degrees else pictures
        return SourceCell(frames, tuple(frame.source for frame in stored), partial(self._finish, frames, samples))

    def _black(self) -> Planes:
        """Return the samples of black, not turned."""
        height, width = self.source.size
        size = (width, height) if self.source.facts.rotation_degrees % 180 else (height, width)
        return to_planes(black(self.source.layout, size), self.source.layout)

    def _finish(
        self, before: torch.Tensor, own: Samples, frames: torch.Tensor, crew: Crew
    ) -> Iterator[Callable[[], FinishedFrame]]:
        """Finish a cell that came in as ``before``, of samples ``own``."""
        _check_channels(frames.shape[1], self.layout)
        # As many together as there is room for: what a device is asked for costs more than what it does for one frame.
        count = max(1, _PIXELS_TOGETHER // (frames.shape[-2] * frames.shape[-1]))
        for start in range(0, len(frames), count):
            part = slice(start, start + count)
            samples = tuple(plane[part] for plane in own)
            finished = crew.begin(self._finish_frames, before[part], samples, frames[part])
            for at in range(len(frames[part])):
                yield partial(_wait_for, finished, at)

    def _finish_frames(self, before: torch.Tensor, own: Samples, frames: torch.Tensor) -> list[FinishedFrame]:
        pictures = frames.expand(-1, self.layout.channels, -1, -1)
        is_turned = bool(self.source.facts.rotation_degrees)
        if pictures.shape == before.shape and not is_turned and _keeps_samples(self.source.layout, self.layout):
            made = device_pixels.change_planes(own, before, pictures, self.layout)
        else:
            made = device_pixels.to_planes(pictures, self.layout)
        samples = zip(*device_pixels.download(made, self.layout), strict=True)
        scores = scoring.score_on_device(frames, before)
        shown = map(planes.from_frame, pictures) if self.keeps_picture else repeat(None)
        return [FinishedFrame(*finished) for finished in zip(samples, shown, scores, strict=False)]


def _wait_for(finished: Callable[[], list[FinishedFrame]], at: int) -> FinishedFrame:
    return finished()[at]


def _place(cell: NDArray[np.float32], entry: tuple[int, ShownFrame]) -> ShownFrame:
    """Copy a frame's picture to its place in a cell ``(T, C, H, W)``, where alone it lies from then on."""
    at, frame = entry
    cell[at] = frame.picture
    return replace(frame, picture=cell[at])


def _keeps_samples(source: Layout, master: Layout) -> bool:
    """Whether a master's samples are the source's own where nothing changed: that of chroma would round otherwise."""
    return source == master and master.model == "yuv"


def _check_channels(count: int, layout: Layout) -> None:
    if count > layout.channels:
        raise WorkError(f"A step made {count} channels of a grey reel and does not say so", code="WORKER_FAULT")
