"""Takes the metrics of an evaluation: pictures are added batch by batch, and every metric ends as one figure.

The table ``db.catalog.metrics`` says what a metric is; its module is the one that jobs use too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from db.catalog.metrics import MetricSpec
from workers.on_demand.evaluation.references import Levels
from workers.ops import planes
from workers.ops.planes import Planes
from workers.tasks.scoring import metric_module, value_or_nan


class Batch:
    """The pictures of a batch, and what metrics saw in them already: it is looked at once for all that compare."""

    def __init__(self, pictures: Sequence[Levels], films: Sequence[str] = ()) -> None:
        """Take 8-bit pictures ``(H, W, C)`` and the film that each is a frame of, empty for photos."""
        self.pictures: list[Planes] = [planes.from_levels(picture) for picture in pictures]
        self.films = films or [""] * len(pictures)
        self._observations: dict[str, Sequence[Any]] = {}

    def observations(self, name: str, observe: Callable[[Sequence[Planes]], Sequence[Any]]) -> Sequence[Any]:
        """Return what the metric ``name`` sees in the pictures."""
        if name not in self._observations:
            self._observations[name] = observe(self.pictures)
        return self._observations[name]


class Accumulator(Protocol):
    """One metric of one set."""

    def add(self, output: Batch, reference: Batch) -> list[float] | None:
        """Add a batch; returns each picture's value, NaN where it has none, or None where only the set has one."""

    def value(self) -> float:
        """Return the figure; NaN where nothing could be measured."""


def open_accumulator(spec: MetricSpec, judges: Mapping[str, nn.Module], crop_px: int) -> Accumulator:
    """Return an empty accumulator.

    Args:
        spec: The metric.
        judges: Networks by card; that of the metric must be among them.
        crop_px: Pixels left out at each side by metrics that know of it.
    """
    module = metric_module(spec)
    options = {"crop_px": crop_px} if "crop_px" in spec.options else {}
    if spec.reduces == "reel":
        return _OverFilms(spec, module)
    return _OverPictures(spec, module, judges.get(spec.judge), options)


class _OverPictures:
    """One value a picture, then one of all of them."""

    def __init__(
        self, spec: MetricSpec, module: ModuleType, judge: nn.Module | None, options: Mapping[str, Any]
    ) -> None:
        self._spec, self._module, self._judge, self._options = spec, module, judge, dict(options)
        if judge is not None and not hasattr(module, "observe"):
            self._options["judge"] = judge
        self._values: list[Any] = []
        self._state: Any = None
        self._count = 0

    def add(self, output: Batch, reference: Batch) -> list[float] | None:
        columns = [self._views(output)]
        if self._spec.compares == "reference":
            columns.append(self._views(reference))
        values = [value_or_nan(self._module.update, *views, **self._options) for views in zip(*columns, strict=True)]
        self._count += len(values)
        if hasattr(self._module, "accumulate"):
            self._state = self._module.accumulate(self._state, values)
            return None
        self._values += values
        return values if values and isinstance(values[0], float) else None

    def value(self) -> float:
        if hasattr(self._module, "accumulate"):
            return float(self._module.compute(self._state)) if self._count >= self._spec.least_pictures else np.nan
        values = _finite_rows(np.array(self._values, np.float64))
        return float(self._module.compute(values)) if len(values) >= self._spec.least_pictures else np.nan

    def _views(self, batch: Batch) -> Sequence[Any]:
        if not hasattr(self._module, "observe"):
            return batch.pictures
        return batch.observations(self._spec.name, self._observe)

    def _observe(self, pictures: Sequence[Planes]) -> Sequence[Any]:
        if self._judge is not None:
            views: Sequence[Any] = self._module.observe(pictures, self._judge)
            return views
        return [self._module.observe(picture) for picture in pictures]


class _OverFilms:
    """The mean over films of one value each."""

    def __init__(self, spec: MetricSpec, module: ModuleType) -> None:
        self._spec, self._module = spec, module
        self._distances: tuple[int, ...] = getattr(module, "DISTANCES", ())
        self._film = ""
        self._film_values: list[float] = []
        self._views: deque[Any] = deque(maxlen=max(self._distances, default=1))
        self._rows: list[list[float]] = []

    def add(self, output: Batch, reference: Batch) -> None:
        for film, frame, true in zip(output.films, output.pictures, reference.pictures, strict=True):
            if not film:
                continue
            if film != self._film:
                self._close()
                self._film = film
            self._rows.append(self._compare(frame, true) if self._distances else [self._module.update(frame)])

    def value(self) -> float:
        self._close()
        return float(np.mean(self._film_values)) if self._film_values else np.nan

    def _compare(self, frame: Planes, reference: Planes) -> list[float]:
        guided = self._spec.compares == "reference"
        now = self._module.observe(frame, reference) if guided else self._module.observe(frame)
        row = [
            self._module.update(self._views[-distance], now) if len(self._views) >= distance else np.nan
            for distance in self._distances
        ]
        self._views.append(now)
        return row

    def _close(self) -> None:
        if len(self._rows) >= self._spec.least_pictures:
            series = np.array(self._rows, np.float64).T
            value = float(self._module.compute(series if self._distances else series[0]))
            self._film_values += [value] if np.isfinite(value) else []
        self._film, self._rows = "", []
        self._views.clear()


def _finite_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(values)
    return values[finite if values.ndim == 1 else finite.all(axis=1)]
