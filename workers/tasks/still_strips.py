"""Restores a still in strips, so that neither source nor result is ever whole as floating point numbers.

A strip is computed with the rows around it that its steps look at, and scored and counted row by row; so samples,
scores and changes are the bits that the whole picture gives, however high the strips are. What a step must know of the
whole picture is measured before, over strips too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from db.recipe import Recipe
from workers import stages
from workers.frames import Clip, Reel, StillRows
from workers.media.given_mask import Mask
from workers.media.stills import files as stills
from workers.tasks import scoring, step_changes
from workers.tasks.step_changes import Change, ChangeRecorder
from workers.workbench import Workbench

GRID_ROWS = 16
"""Strips, and what is shown around them, begin at multiples of this, so that a stage may halve a picture four times."""
_LIGHT_PX = 1 << 17
"""Pixels of a strip where nothing around it is computed twice: what the processor's cache holds."""
_LEAST_PX, _MOST_STRIPS = 1 << 20, 40
"""Otherwise at least so many, and of a large picture one fortieth: then a strip's work takes two bytes of its pixel."""
_NOTHING = torch.zeros((1, 1, 1, 1), dtype=torch.bool)

Note = Callable[[int, int, torch.Tensor, torch.Tensor, torch.Tensor | None], None]
"""Told of each step its number, the row that its strip begins with, the strip before and after it, and the mask."""


@dataclass(frozen=True)
class RestoredStill:
    """A still, restored."""

    photo: stills.Photo
    values: dict[str, NDArray[np.float64]]
    """Scores and changes, a value each."""
    masks: dict[int, torch.Tensor]
    """``(1, 1, H, W)`` bool by the step's number, of those that repaired anything."""


@dataclass(frozen=True)
class StripPlan:
    """How a still is restored in strips."""

    recipe: Recipe
    radii: tuple[int, ...]
    """Rows above and below that each step looks at."""
    rows: int
    """Of a strip."""

    def around(self, number: int, low: int, high: int, height: int) -> tuple[int, int]:
        """Return which rows step ``number`` must be given for the rows ``[low, high)`` of a picture."""
        radius = self.radii[number]
        if radius == 0:
            return low, high
        return max(0, (low - radius) // GRID_ROWS * GRID_ROWS), min(
            height, -(-(high + radius) // GRID_ROWS) * GRID_ROWS
        )


def plan(recipe: Recipe, is_marked: bool, size: tuple[int, int]) -> StripPlan | None:
    """Return how a still of ``size`` (height, width) is cut; none where a step or metric needs the whole picture."""
    radii = recipe.still_radii(is_marked)
    if radii is None or not scoring.can_be_taken_by_rows():
        return None
    height, width = size
    pixels = max(_LEAST_PX, height * width // _MOST_STRIPS) if any(radii) else _LIGHT_PX
    return StripPlan(recipe, radii, max(1, pixels // width // GRID_ROWS) * GRID_ROWS)


def restore(
    photo: stills.Photo, mask: Mask | None, strips: StripPlan, context: Reel, bench: Workbench
) -> RestoredStill:
    """Restore a page of a still in strips.

    Args:
        photo: As it was read.
        mask: ``(H, W)``: what the manifest marks; none where it marks nothing.
        strips: From :func:`plan`.
        context: From ``stages.still_context``.
        bench: Where progress is told.
    """
    work = _StillInStrips(photo, mask, strips, context, bench)
    work.measure()
    size = photo.samples.shape[:2]
    scores, output = scoring.StillScores(size), _Output(photo)
    recorder = ChangeRecorder(strips.recipe, photo.depth_bits)
    ledger = _StripLedger(size, recorder.half_code)
    for low, high in _spans(size[0], strips.rows):
        restored, source = work.strip(low, high, ledger.note_of(low, high))
        scores.add(restored, source)
        output.put(restored if restored is not source else None, low, high)
        bench.advance()
    ledger.tell(recorder, photo)
    return RestoredStill(output.photo(), scores.values() | recorder.values(), ledger.masks)


class _StillInStrips:
    """Gives strips of what the steps make of a still."""

    def __init__(
        self, photo: stills.Photo, mask: Mask | None, plan: StripPlan, context: Reel, bench: Workbench
    ) -> None:
        self._photo, self._plan, self._context, self._bench = photo, plan, context, bench
        self._mask = None if mask is None else torch.from_numpy(mask[None, None])
        self._measured: list[Any] = []

    def measure(self) -> None:
        """Find out step by step what each must know of the whole picture that it is given."""
        height, width, channels = self._photo.samples.shape
        for number, step in enumerate(self._plan.recipe.steps):

            def strips(number: int = number) -> Iterator[tuple[int, NDArray[Any]]]:
                for low, high in _spans(height, self._plan.rows):
                    yield low, self._after(number, low, high)[0].cpu().numpy()

            picture = StillRows(channels, (height, width), strips)
            self._measured.append(stages.measure_still(step, picture, self._context))

    def strip(self, low: int, high: int, note: Note) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows ``[low, high)`` restored and as they came, ``(C, rows, W)``: one array where nothing changed."""
        came: list[torch.Tensor] = []

        def watch(number: int, top: int, before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor | None) -> None:
            if number == 0:
                came.append(before[..., low - top : high - top, :])
            note(number, top, before, after, mask)

        restored = self._after(len(self._plan.recipe.steps), low, high, watch)
        source = came[0] if came else restored
        shown = source[0].cpu().numpy()
        return (shown if restored.data_ptr() == source.data_ptr() else restored[0].cpu().numpy()), shown

    def _after(self, count: int, low: int, high: int, note: Note | None = None) -> torch.Tensor:
        """Return rows ``(1, C, high - low, W)`` of what the first ``count`` steps make."""
        if count == 0:
            picture = stills.to_picture(self._photo, slice(low, high))
            return torch.from_numpy(picture[None]).to(self._bench.device)
        number, height = count - 1, self._photo.samples.shape[0]
        first, last = self._plan.around(number, low, high, height)
        before = self._after(number, first, last, note)
        marked = None if self._mask is None else self._mask[..., first:last, :].to(self._bench.device)
        clip, step = Clip(before, 0, (0,), marked), self._plan.recipe.steps[number]
        after, mask = stages.repair_strip(step, clip, first, self._measured[number], self._context, self._bench)
        if note:
            note(number, first, before, after, mask)
        self._bench.advance()
        return after[..., low - first : high - first, :]


class _StripLedger:
    """Takes down what the steps change in the strips of a still."""

    def __init__(self, size: tuple[int, int], half_code: float) -> None:
        self._size, self._half_code = size, half_code
        self._changes: dict[int, list[Change]] = defaultdict(list)
        self._repairing: set[int] = set()
        self.masks: dict[int, torch.Tensor] = {}

    def note_of(self, low: int, high: int) -> Note:
        """Return what notes the rows ``[low, high)`` of each step, whatever lies around them."""

        def note(number: int, top: int, before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor | None) -> None:
            part = slice(low - top, high - top)
            self._changes[number].append(
                step_changes.count_changes(before[0, :, part], after[0, :, part], self._half_code)
            )
            if mask is not None:
                self._repairing.add(number)
                self._keep_mask(number, low, high, mask[:, :, part])

        return note

    def tell(self, recorder: ChangeRecorder, photo: stills.Photo) -> None:
        """Give the recorder what was noted of the whole picture."""
        height, width, channels = photo.samples.shape
        for number, changes in self._changes.items():
            mask = self.masks.get(number, _NOTHING) if number in self._repairing else None
            recorder.add_still(number, changes, (channels, height, width), mask)

    def _keep_mask(self, number: int, low: int, high: int, mask: torch.Tensor) -> None:
        if mask.any():
            if number not in self.masks:
                self.masks[number] = torch.zeros((1, 1, *self._size), dtype=torch.bool)
            self.masks[number][:, :, low:high] = mask.cpu()


class _Output:
    """The samples of a restored still: its own, as long as no strip has changed."""

    def __init__(self, photo: stills.Photo) -> None:
        self._photo = photo
        self._samples: NDArray[Any] | None = None

    def put(self, restored: NDArray[Any] | None, low: int, high: int) -> None:
        """Take the rows ``[low, high)``; none where they are the source's."""
        if restored is None and self._samples is None:
            return
        if self._samples is None:
            self._samples = np.empty_like(self._photo.samples)
            self._samples[:low] = self._photo.samples[:low]
        rows = slice(low, high)
        self._samples[rows] = (
            self._photo.samples[rows] if restored is None else stills.to_samples(self._photo, restored, rows)
        )

    def photo(self) -> stills.Photo:
        """Return the still with these samples."""
        return self._photo if self._samples is None else replace(self._photo, samples=self._samples)


def _spans(height: int, rows: int) -> Iterator[tuple[int, int]]:
    return ((low, min(low + rows, height)) for low in range(0, height, rows))
