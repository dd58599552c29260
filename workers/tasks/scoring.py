"""Takes the metrics of jobs: of every frame while it is restored, of neighbouring frames when the reel is finished.

The table ``db.catalog.metrics`` says which; modules in ``workers.metrics``, or of outside packages, compute them.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from db.catalog.metrics import METRICS, MetricSpec
from db.errors import WorkError
from workers import device
from workers.frames import Clip
from workers.ops import luma, planes
from workers.ops.planes import Planes
from workers.tasks.row_scores import RowScores, is_taken_by_rows


def metric_module(spec: MetricSpec) -> ModuleType:
    """Return the code of a metric.

    Raises:
        WorkError: ``NO_MODULE`` where this machine lacks it.
    """
    try:
        return importlib.import_module(spec.module_name)
    except ModuleNotFoundError as error:
        raise WorkError(f"Metric {spec.name}: {error}", code="NO_MODULE") from error


def value_or_nan(update: Callable[..., Any], *views: Any, **options: Any) -> Any:
    """Return a metric's value of one picture, NaN where it says that it cannot measure it."""
    try:
        return update(*views, **options)
    except ValueError:  # too small or too flat for this metric
        return np.nan


def score(restored: Clip, source: Clip) -> dict[str, NDArray[np.float64]]:
    """Return per-frame values ``(T,)`` of every metric of single frames, for the frames of ``restored``.

    Where restoration changed the size, frames are compared at the source's: each of its pixels with the mean of the
    area that it covers.

    Args:
        restored: Frames ``[start, stop)``.
        source: At least the same frames, as they came in.
    """
    numbers = range(restored.start, restored.stop)
    return join([score_frame(*(planes.from_frame(clip.frame(at)) for clip in (restored, source))) for at in numbers])


def score_frame(restored: Planes, source: Planes) -> dict[str, float]:
    """Return a frame's values of every metric of single frames, as :func:`score` does; ``(C, H, W)`` float32 each."""
    small = planes.resize_area(restored, *source.shape[1:])
    with np.errstate(over="ignore", invalid="ignore"):  # floats of a scan may lie beyond all light: it is no score then
        return _frame_values(restored, small, source)


def score_on_device(restored: torch.Tensor, source: torch.Tensor) -> list[dict[str, float]]:
    """Return what :func:`score_frame` does of frames ``(T, C, H, W)`` where they lie; both sides at least 12 pixels.

    Metrics that cannot be taken there are taken of copies in main memory. A value differs from that of the cores by
    rounding alone: by less than 1e-5, but SSIM of bright windows in which almost nothing moves by up to 4e-4, since on
    either side little is left of the difference of two means.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _device_values(restored, _shrink_to(restored, source), source)


def join(rows: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Return columns ``(T,)`` of the values of frames in order."""
    return {_name(spec): np.array([row[_name(spec)] for row in rows]) for spec, _ in _frame_metrics()}


class StillScores:
    """Values of the metrics of single frames, of a picture that keeps its size and comes in strips."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Begin with no row of a picture of ``size`` (height, width), where :func:`can_be_taken_by_rows`."""
        self._specs = [spec for spec, _ in _frame_metrics()]
        self._scores = RowScores([_count_pictures(*metric) for metric in _frame_metrics()], size)

    def add(self, restored: Planes, source: Planes) -> None:
        """Take the next rows ``(C, rows, W)``, restored and as they came in."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._scores.add(restored, source)

    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return them by name ``(1,)``, as :func:`score` does of the whole picture."""
        return {_name(spec): np.array([value]) for spec, value in zip(self._specs, self._scores.values(), strict=True)}


def can_be_taken_by_rows() -> bool:
    """Whether no metric needs whole pictures; those of outside packages may."""
    return all(is_taken_by_rows(module) for _, module in _frame_metrics())


def summarize(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return one number a metric from the values of all frames in order; a still has none of a whole reel."""
    summary: dict[str, float] = {}
    for spec in (spec for spec in METRICS.values() if spec.in_jobs):
        module = metric_module(spec)
        if hasattr(module, "DISTANCES"):
            series = _pair_series(spec.name, module, values)
        else:
            series = np.asarray(values.get(spec.frame_value or spec.name, ()), np.float64)
            series = series[np.isfinite(series)]
        if series.size and series.shape[-1] >= spec.least_pictures:
            with np.errstate(over="ignore", invalid="ignore"):
                value = float(module.compute(series))
            summary |= {spec.name: value} if np.isfinite(value) else {}
    return summary


def notes(values: Mapping[str, NDArray[np.float64]], scores: Mapping[str, float]) -> Iterator[str]:
    """Say which metrics were left out although they were taken of frames: of a picture too small, or beyond numbers."""
    for spec in METRICS.values():
        series = values.get(spec.frame_value or spec.name)
        if spec.in_jobs and spec.name not in scores and series is not None and not np.isfinite(series).all():
            yield f"{spec.name} was left out: of {np.count_nonzero(~np.isfinite(series))} frames it is no number."


class NeighborScores:
    """Values of the metrics of neighbouring frames, over frames of a film that are added in order."""

    def __init__(self, shot_starts: Container[int] = (), first: int = 0) -> None:
        """Take the frames with which a new shot begins, over which no pair reaches; and the number of the first."""
        self._shot_starts = shot_starts
        self._modules = {spec.name: metric_module(spec) for spec in METRICS.values() if _compares_neighbors(spec)}
        self._observations: dict[str, deque[Any]] = {
            name: deque(maxlen=max(module.DISTANCES)) for name, module in self._modules.items()
        }
        self._values: dict[str, list[float]] = {}
        self._number = first

    def add(self, picture: Planes) -> None:
        """Add the next frame, ``(C, H, W)`` float32 0..1."""
        for name, module in self._modules.items():
            earlier = self._observations[name]
            if self._number in self._shot_starts:
                earlier.clear()
            now = module.observe(picture)
            for distance in module.DISTANCES:
                value = module.update(earlier[-distance], now) if len(earlier) >= distance else np.nan
                self._values.setdefault(f"{name}_{distance}", []).append(value)
            earlier.append(now)
        self._number += 1

    def values(self) -> dict[str, NDArray[np.float64]]:
        """One value a frame and distance: of the pair that ends there, NaN where none does."""
        return {name: np.array(series, np.float64) for name, series in self._values.items()}


def _pair_series(name: str, module: ModuleType, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return ``(D, N)``, a row a distance; empty where no pairs were compared."""
    rows = [values.get(f"{name}_{distance}", np.empty(0)) for distance in module.DISTANCES]
    return np.stack(rows) if all(np.isfinite(row).any() for row in rows[:1]) else np.empty((len(rows), 0))


def _compares_neighbors(spec: MetricSpec) -> bool:
    return spec.in_jobs and spec.compares == "previous"


def _name(spec: MetricSpec) -> str:
    return spec.frame_value or spec.name


def _frame_metrics() -> list[tuple[MetricSpec, ModuleType]]:
    return [(spec, metric_module(spec)) for spec in METRICS.values() if spec.in_jobs and spec.compares != "previous"]


def _count_pictures(spec: MetricSpec, module: ModuleType) -> tuple[ModuleType, int]:
    return module, 2 if spec.compares == "source" else 1


def _frame_values(restored: Planes, small: Planes, source: Planes) -> dict[str, float]:
    """Return a frame's values by name; ``small`` is what was restored at the source's size."""
    row: dict[str, float] = {}
    # Where the size is kept, one look at each strip serves all.
    groups = {"none source": (small, source)} if small is restored else {"none": (restored,), "source": (small, source)}
    for compares, pictures in groups.items():
        found = [each for each in _frame_metrics() if each[0].compares in compares and is_taken_by_rows(each[1])]
        scores = RowScores([_count_pictures(*metric) for metric in found], pictures[0].shape[1:])
        scores.add(*pictures)
        row |= {_name(spec): value for (spec, _), value in zip(found, scores.values(), strict=True)}
    for spec, module in _frame_metrics():
        if not is_taken_by_rows(module):
            whole = (small, source) if spec.compares == "source" else (restored,)
            given = map(_luma, whole) if getattr(module, "LUMA_ONLY", False) else whole
            row[_name(spec)] = value_or_nan(module.update, *given)
    return row


def _device_values(restored: torch.Tensor, small: torch.Tensor, source: torch.Tensor) -> list[dict[str, float]]:
    """Return what :func:`_frame_values` does of each frame, of tensors where they lie."""
    views = {"none": (restored,), "source": (small, source)}
    lumas = {compares: tuple(luma.of(each, luma.BT601) for each in view) for compares, view in views.items()}
    there, rows = list[tuple[MetricSpec, ModuleType, torch.Tensor]](), [dict[str, float]() for _ in restored]
    for spec, module in _frame_metrics():
        view = (lumas if getattr(module, "LUMA_ONLY", False) else views)[spec.compares]
        if hasattr(module, "device_row_values"):
            there.append((spec, module, module.device_row_values(*view, size=view[0].shape[2:])))
            continue
        for row, *pictures in zip(rows, *view, strict=True):
            row[_name(spec)] = value_or_nan(module.update, *map(planes.from_frame, pictures))
    # One copy for all: each waits for what the device is at.
    found = device.download(torch.cat([values.flatten() for *_, values in there]))
    for spec, module, values in there:
        own, found = found[: values.numel()].reshape(values.shape), found[values.numel() :]
        size = views[spec.compares][0].shape[2:]
        for row, of_frame in zip(rows, own, strict=True):
            row[_name(spec)] = float(module.from_rows(of_frame, size))
    return rows


def _shrink_to(restored: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Return frames at the source's size, each pixel the mean of the area that it covers."""
    height, width = source.shape[2:]
    if restored.shape[2:] == (height, width):
        return restored
    scale, rest = divmod(restored.shape[2], height)
    if rest == 0 and restored.shape[3] == scale * width:
        return functional.avg_pool2d(restored, scale)
    small = [planes.resize_area(planes.from_frame(frame), height, width) for frame in restored]
    return planes.to_frames(small, source)


def _luma(picture: Planes) -> Planes:
    luma: Planes = planes.luma(picture)[None]
    return luma
