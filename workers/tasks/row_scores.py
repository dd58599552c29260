"""Scores of a picture whose rows come one strip after the other: the same bits however it is cut into strips.

Whole frames are taken so too: strips that the processor's cache holds are faster than a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from workers.ops import planes
from workers.ops.planes import Planes
from workers.ops.rows import RowValues, Size

_BLOCK_PX = 1 << 17
"""Pixels that are measured at once."""
_FEWEST_ROWS = 16


def is_taken_by_rows(metric: ModuleType) -> bool:
    """Whether a metric says what it needs to know of each row."""
    return hasattr(metric, "row_values")


class RowScores:
    """Values of metrics of a picture, alone or beside another one, whose rows are added from the top down."""

    def __init__(self, metrics: Sequence[tuple[ModuleType, int]], size: Size) -> None:
        """Begin with no row of a picture of ``size``.

        Args:
            metrics: Each taken by rows, and how many of the pictures it is given: the first, or both.
            size: Height and width of both.
        """
        self._metrics, self._size = metrics, size
        self._reach = max((metric.RADIUS_PX for metric, _ in metrics), default=0)
        self._pictures: tuple[Planes, ...] = ()
        self._top = self._done = 0
        self._values: list[list[RowValues]] = [[] for _ in metrics]

    def add(self, *pictures: Planes) -> None:
        """Take the next rows ``(C, rows, W)`` of the picture, and of the one that it is compared with."""
        held = self._pictures or _each(lambda new: new[:, :0], pictures)
        self._pictures = _each(_join, held, pictures)
        seen = self._top + self._pictures[0].shape[1]
        ready = seen if seen == self._size[0] else max(self._done, seen - self._reach)
        step = max(_FEWEST_ROWS, _BLOCK_PX // self._size[1])
        for start in range(self._done, ready, step):
            self._measure(start, min(start + step, ready), seen)
        keep = max(self._top, ready - self._reach)
        self._pictures = _each(lambda rows: rows[:, keep - self._top :], self._pictures)
        self._top, self._done = keep, ready

    def values(self) -> list[float]:
        """Return each metric's value of the whole picture."""
        return [
            float(metric.from_rows(np.concatenate(parts), self._size))
            for (metric, _), parts in zip(self._metrics, self._values, strict=True)
        ]

    def _measure(self, start: int, stop: int, seen: int) -> None:
        """Measure the rows ``[start, stop)`` of the picture, with what lies around them."""
        low, high = max(self._top, start - self._reach), min(seen, stop + self._reach)
        shown = _each(lambda rows: rows[:, low - self._top : high - self._top], self._pictures)
        lumas = _each(lambda rows: planes.luma(rows)[None], shown)
        for (metric, count), parts in zip(self._metrics, self._values, strict=True):
            given = lumas if getattr(metric, "LUMA_ONLY", False) else shown
            parts.append(metric.row_values(*given[:count], size=self._size)[start - low : stop - low])


def _each(work: Callable[..., Planes], *pictures: Sequence[Planes]) -> tuple[Planes, ...]:
    """Return what becomes of each picture, made once of those that are one and the same."""
    made: dict[tuple[int, ...], Planes] = {}
    for group in zip(*pictures, strict=True):
        key = tuple(map(id, group))
        if key not in made:
            made[key] = work(*group)
    return tuple(made[tuple(map(id, group))] for group in zip(*pictures, strict=True))


def _join(above: Planes, below: Planes) -> Planes:
    return np.concatenate([above, below], axis=1) if above.shape[1] else below
