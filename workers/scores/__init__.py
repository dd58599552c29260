"""Metrics over frames. Restore, assemble and bundles of stills may import this.

A metric ``x`` is one entry in ``db.catalog.metrics`` and one module ``x`` here with two pure functions::

    update(restored (C, H, W), source (C, H, W)) -> float     # one frame; equal in size
    compute(values (N,)) -> float                             # all frames of the reel, in order

One that says ``LUMA_ONLY = True`` is given luma ``(1, H, W)``, made once for all.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

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
    return {_ingredient(name): np.array([row[name] for row in rows], np.float64) for name in METRICS}


def summarize(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return one number a metric from the values of all frames in order; a still has no reel metrics."""
    summary = {}
    for name, spec in METRICS.items():
        series = np.asarray(values.get(_ingredient(name), ()), np.float64)
        if len(series) >= (_LEAST_REEL_FRAMES if spec.scope == "reel" else 1):
            summary[name] = float(_module(name).compute(series))
    return summary


def _row(restored: Planes, small: Planes, source: Planes) -> dict[str, float]:
    luma, source_luma = _luma(restored), _luma(source)
    small_luma = luma if small is restored else _luma(small)
    row = {}
    for name, spec in METRICS.items():
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
    return full, planes.area_resize(full, *before.shape[1:]), before


def _ingredient(name: str) -> str:
    return INGREDIENTS.get(name, name)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"workers.scores.{name}")
    except ModuleNotFoundError as error:
        raise WorkError(f"Metric {name}: {error}", code="NO_MODULE") from error
