"""Metrics over frames.

A metric ``x`` is one entry in ``db.catalog.metrics`` and one module ``x`` here with two pure functions::

    update(restored (C, H, W), source (C, H, W)) -> float     # one frame; equal in size
    compute(values (N,)) -> float                             # all frames of the reel, in order

One that says ``LUMA_ONLY = True`` is given luma ``(1, H, W)``, made once for all. A metric of pairs of frames has
``DISTANCES``, how far apart they are, and in place of those two::

    observe(picture (C, H, W)) -> Any                         # what must be remembered of a frame
    compare(earlier, later) -> float                          # two observations
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Container, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.catalog.metrics import METRICS
from db.errors import WorkError
from workers.frames import Clip
from workers.ops import planes
from workers.ops.planes import Planes

INGREDIENTS = {"flicker": "mean_luma"}
"""What the per-frame values of a reel metric are called; those of a frame metric are called as the metric itself."""

_LEAST_REEL_FRAMES = 3


def score(restored: Clip, source: Clip) -> dict[str, NDArray[np.float64]]:
    """Return per-frame values ``(T,)`` of every metric, for the frames of ``restored``.

    Where restoration changed the size, frames are compared at the source's: each of its pixels with the mean of the
    area that it covers.

    Args:
        restored: Frames ``[start, stop)``.
        source: At least the same frames, as they came in.
    """
    rows = [_row(*_pair(restored, source, number)) for number in range(restored.start, restored.stop)]
    return {_ingredient(name): np.array([row[name] for row in rows], np.float64) for name in _streamed()}


def summarize(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return one number a metric from the values of all frames in order; a still has no reel metrics."""
    summary: dict[str, float] = {}
    for name, spec in METRICS.items():
        if spec.scope == "pair":
            summary |= _pair_summary(name, values)
            continue
        series = np.asarray(values.get(_ingredient(name), ()), np.float64)
        if len(series) >= (_LEAST_REEL_FRAMES if spec.scope == "reel" else 1):
            summary[name] = float(_module(name).compute(series))
    return summary


class Pairs:
    """Values of the metrics of pairs over a film whose frames are added in order."""

    def __init__(self, begins: Container[int] = ()) -> None:
        """Take the frames with which a new shot begins: no pair reaches over them."""
        self._begins = begins
        self._modules = {name: _module(name) for name, spec in METRICS.items() if spec.scope == "pair"}
        self._seen: dict[str, deque[Any]] = {
            name: deque(maxlen=max(module.DISTANCES)) for name, module in self._modules.items()
        }
        self._values: dict[str, list[float]] = {}
        self._count = 0

    def add(self, picture: Planes) -> None:
        """Add the next frame, ``(C, H, W)`` float32 0..1."""
        for name, module in self._modules.items():
            seen = self._seen[name]
            if self._count in self._begins:
                seen.clear()
            now = module.observe(picture)
            for distance in module.DISTANCES:
                value = module.compare(seen[-distance], now) if len(seen) >= distance else np.nan
                self._values.setdefault(f"{name}_{distance}", []).append(value)
            seen.append(now)
        self._count += 1

    def values(self) -> dict[str, NDArray[np.float64]]:
        """One value a frame and distance: of the pair that ends there, NaN where none does."""
        return {name: np.array(series, np.float64) for name, series in self._values.items()}


def _pair_summary(name: str, values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the mean over the distances of the mean over all pairs; nothing where there are no pairs."""
    series = [values.get(f"{name}_{distance}", np.empty(0)) for distance in _module(name).DISTANCES]
    means = [float(np.nanmean(each)) for each in series if np.isfinite(each).any()]
    return {name: float(np.mean(means))} if means else {}


def _streamed() -> list[str]:
    return [name for name, spec in METRICS.items() if spec.scope != "pair"]


def _row(restored: Planes, small: Planes, source: Planes) -> dict[str, float]:
    luma, source_luma = _luma(restored), _luma(source)
    small_luma = luma if small is restored else _luma(small)
    row = {}
    for name in _streamed():
        spec = METRICS[name]
        module = _module(name)
        if getattr(module, "LUMA_ONLY", False):
            row[name] = module.update(small_luma if spec.needs_source else luma, source_luma)
        else:
            row[name] = module.update(small if spec.needs_source else restored, source)
    return row


def _luma(picture: Planes) -> Planes:
    luma: Planes = planes.luma(picture)[None]
    return luma


def _pair(restored: Clip, source: Clip, number: int) -> tuple[Planes, Planes, Planes]:
    full, before = planes.from_frame(restored.frame(number)), planes.from_frame(source.frame(number))
    return full, planes.resize_area(full, *before.shape[1:]), before


def _ingredient(name: str) -> str:
    return INGREDIENTS.get(name, name)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"workers.metrics.{name}")
    except ModuleNotFoundError as error:
        raise WorkError(f"Metric {name}: {error}", code="NO_MODULE") from error
