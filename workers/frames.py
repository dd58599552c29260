"""The only pixel type of the house, and what a stage may know about the reel around it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Shot = tuple[int, int]
"""Half-open range of absolute frame numbers between two cuts."""


class Memo:
    """Results of pure functions of given frames, kept while one step walks along a segment.

    A window reaches over frames that the window before held too; what was computed of them need not be computed again.
    Bits do not change: a result must follow from the frames that are named, the parameters and the reel alone.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._results: dict[Hashable, tuple[int, Any]] = {}
        self._parts: dict[Hashable, Memo] = {}

    def once(self, name: str, numbers: tuple[int, ...], work: Callable[[], Any]) -> Any:
        """Return ``work()``, computed once for a name and the absolute numbers of the frames that it depends on.

        The first of them may be any number; as soon as a window begins behind the last of them, the result is dropped.
        """
        key = (name, numbers)
        if key not in self._results:
            self._results[key] = (max(numbers), work())
        return self._results[key][1]

    def part(self, name: Hashable) -> Memo:
        """Return what is remembered under other parameters."""
        return self._parts.setdefault(name, Memo())

    def forget_before(self, number: int) -> None:
        """Drop what is about frames before ``number`` alone."""
        for part in self._parts.values():
            part.forget_before(number)
        self._results = {key: entry for key, entry in self._results.items() if entry[0] >= number}


MEASURED = "measured"
"""The name under which a memo holds what a stage's ``measure`` found out of a whole still."""


@dataclass(frozen=True)
class StillRows:
    """A still that is at hand in strips, as a step is given it."""

    channels: int
    size: tuple[int, int]
    """Height and width."""
    strips: Callable[[], Iterator[tuple[int, NDArray[Any]]]]
    """Gives the strips from the top down: the number of the first row, and ``(C, rows, W)`` float32."""

    def plane(self, work: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """Return the plane ``(H, W)`` float32 that ``work`` makes, each pixel of its own pixel alone."""
        plane = np.empty(self.size, np.float32)
        for top, strip in self.strips():
            plane[top : top + strip.shape[1]] = work(strip)
        return plane


@dataclass(frozen=True)
class Clip:
    """Consecutive frames in memory."""

    frames: torch.Tensor
    """``(T, C, H, W)`` float32, RGB (C=3) or one channel (C=1), 0..1, gamma as in the source, on the step's device."""
    start: int
    """Absolute number of the first frame in the reel; a still is frame 0 of a reel of one."""
    sources: tuple[int, ...]
    """For each frame the number of the frame that is really shown: another one where a substitute stands in."""
    mask: torch.Tensor | None = None
    """``(T, 1, H, W)`` bool: what the manifest's mask marks as damaged; none where there is no such mask."""
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)
    """Of the step that is being applied, over all windows of its segment."""

    @property
    def stop(self) -> int:
        """Absolute number after the last frame."""
        return self.start + self.frames.shape[0]

    def frame(self, number: int) -> torch.Tensor:
        """Return frame ``number`` (absolute) as ``(C, H, W)``."""
        return self.frames[number - self.start]

    def marked(self, number: int) -> NDArray[np.bool_]:
        """Return ``(H, W)``: what the manifest's mask marks of frame ``number``; nothing where it gives none."""
        if self.mask is None:
            return np.zeros(self.frames.shape[-2:], np.bool_)
        marked: NDArray[np.bool_] = self.mask[number - self.start, 0].cpu().numpy()
        return marked

    def part(self, start: int, stop: int) -> Clip:
        """Return the frames ``[start, stop)`` (absolute), sharing memory."""
        first, last = start - self.start, stop - self.start
        mask = None if self.mask is None else self.mask[first:last]
        return Clip(self.frames[first:last], start, self.sources[first:last], mask, self.memo)

    def with_frames(self, frames: torch.Tensor) -> Clip:
        """Return the same positions with other pixels, of which nothing is remembered; a mask grows with them."""
        mask = self.mask
        if mask is not None and mask.shape[-2:] != frames.shape[-2:]:
            mask = functional.interpolate(mask.float(), size=tuple(frames.shape[-2:]), mode="nearest") > 0
        return replace(self, frames=frames, mask=mask, memo=Memo())


@dataclass(frozen=True)
class Repaired:
    """What a stage that repairs parts of the picture gives back."""

    frames: torch.Tensor
    """``(T, C, H, W)`` float32."""
    mask: torch.Tensor
    """``(T, 1, H, W)`` bool: where it repaired. Nothing outside comes out changed, whatever ``frames`` hold there."""


def untouched(frames: torch.Tensor) -> Repaired:
    """Return frames ``(T, C, H, W)`` in which nothing was to be repaired."""
    return Repaired(frames, frames.new_zeros((len(frames), 1, *frames.shape[-2:]), dtype=torch.bool))


@dataclass(frozen=True)
class Reel:
    """What a stage may know about the whole reel; the same for every segment, so that no result depends on a cut."""

    frame_count: int
    rate: Fraction
    """Frames per second."""
    shots: tuple[Shot, ...]
    """Ranges between cuts that together cover the reel; one range where nobody asked for cuts."""
    profile: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Reel-level values by name, one row a frame, from ``merge``; empty when no step needs any."""
    mono_source: bool = False
    """Whether the source had one channel."""
    cell_frames: int = 1
    """Frames in a cell of the batch grid: what an accelerator is given at once."""
    already_colored: bool = False
    """Whether the source has colours of its own; a tint over all (sepia) is none."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Objects that the manifest names: left, top, right, bottom in pixels."""
    wide: bool = False
    """Whether pictures were made of log or linear samples, and so may lie far outside 0..1."""
    luma_shares: tuple[float, float] = (0.299, 0.114)
    """Shares of red and of blue in luma: of the source's own matrix, for grey and RGB those of BT.601."""

    def shot_of(self, number: int) -> Shot:
        """Return the shot that frame ``number`` belongs to."""
        for shot in self.shots:
            if shot[0] <= number < shot[1]:
                return shot
        return (0, self.frame_count)

    def neighbors(self, number: int, radius: int) -> range:
        """Return the frames within ``radius`` of ``number``, clamped to its shot: the one rule for all windows."""
        first, last = self.shot_of(number)
        return range(max(first, number - radius), min(last, number + radius + 1))


STILL = Reel(frame_count=1, rate=Fraction(1), shots=((0, 1),))
"""A still, seen as a reel of one frame."""
