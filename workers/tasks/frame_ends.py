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
from itertools import islice
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import WorkError
from workers import device
from workers.background import Crew
from workers.media import device_pixels, reel
from workers.media.device_pixels import Samples
from workers.media.pixels import Layout, Picture, Planes, change_planes, to_planes
from workers.media.reel import IndexedReel, ShownFrame, StoredFrame
from workers.ops import planes
from workers.tasks import scoring

Span = tuple[int, int]
"""Half-open range of absolute frame numbers."""
_LEAST_SIDE_PX = 12
"""Of smaller pictures a device cannot take every score."""


class FinishedFrame(NamedTuple):
    """A restored frame as it is written."""

    samples: Planes
    picture: Picture | None
    """Where somebody asks for it: what waits to be written holds no more than it must."""
    scores: dict[str, float]


Finish = Callable[[torch.Tensor], FinishedFrame]
"""Makes of a restored frame ``(C, H, W)`` what is written, and scores it beside what came in; from any thread."""


@dataclass(frozen=True)
class SourceCell:
    """Frames of a cell as they came in."""

    frames: torch.Tensor
    """``(T, C, H, W)`` float32, where stages want them."""
    sources: tuple[int, ...]
    """For each frame the number of the frame that is really shown, or ``BLACK``."""
    finish: tuple[Finish, ...]
    """For each frame what makes the end of it."""


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
            yield SourceCell(frames, sources, tuple(partial(self._finish, frame) for frame in shown))

    def _finish(self, shown: ShownFrame, frame: torch.Tensor) -> FinishedFrame:
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
        keeps = _keeps_samples(self.source.layout, self.layout) and not self.source.facts.rotation_degrees
        frames, samples = self._upload([frame.samples for frame in stored])
        finish = list[Finish]()
        for at, frame in enumerate(stored):
            own = tuple(plane[at] for plane in samples) if keeps and frame.samples is not None else None
            finish.append(partial(self._finish, frames[at], own))
        return SourceCell(frames, tuple(frame.source for frame in stored), tuple(finish))

    def _upload(self, stored: list[Planes | None]) -> tuple[torch.Tensor, Samples]:
        """Return upright pictures ``(T, C, H, W)``, and the samples that they were made of; of black any."""
        layout, degrees = self.source.layout, self.source.facts.rotation_degrees
        filler = next((each for each in stored if each is not None), None)
        if filler is None:
            return torch.zeros((len(stored), layout.channels, *self.source.size), device=self.device), ()
        samples = device_pixels.upload([filler if each is None else each for each in stored], self.device)
        pictures = device_pixels.to_picture(samples, layout)
        for picture, each in zip(pictures, stored, strict=True):
            if each is None:
                picture.zero_()
        return torch.rot90(pictures, degrees // 90, (-2, -1)).contiguous() if degrees else pictures, samples

    def _finish(self, before: torch.Tensor, own: Samples | None, frame: torch.Tensor) -> FinishedFrame:
        """Finish a frame ``(C, H, W)``; ``own`` are the source's samples where those that did not change are kept."""
        _check_channels(len(frame), self.layout)
        picture = frame.expand(self.layout.channels, -1, -1)
        if own is not None and picture.shape == before.shape:
            made = device_pixels.change_planes(own, before, picture, self.layout)
        else:
            made = device_pixels.to_planes(picture, self.layout)
        samples = device_pixels.download(made, self.layout)
        scores = scoring.score_frame_on_device(frame, before)
        return FinishedFrame(samples, planes.from_frame(picture) if self.keeps_picture else None, scores)


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
