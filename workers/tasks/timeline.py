"""Writes what a page draws a finished reel's values from: one blob, whose form ``db.timeline`` says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db import timeline
from db.catalog.metrics import METRICS, MetricSpec
from db.records import ItemView
from workers.media.film.timing import Clock

Values = Mapping[str, NDArray[np.float64]]
"""Per frame, by column, as in the table of scores."""
_DISTANCE = re.compile(r"_\d+$")
"""What the column of a metric of neighbours has behind its name."""
_SHARES = ("changed_", "moved_", "repaired_")
"""Columns of what steps did that cannot be more than 1."""


def pack(item: ItemView, clock: Clock, values: Values, shot_starts: Collection[int], shows: NDArray[np.int64]) -> bytes:
    """Return a reel's timeline.

    Args:
        item: The reel, with its facts.
        clock: When its frames are shown.
        values: What the table of scores holds of every frame.
        shot_starts: Frames with which a shot begins; empty where nobody looked for cuts.
        shows: ``Index.shows``: the frame that stands at each place of the source.
    """
    columns = dict(_in_order(values))
    if clock.times:
        columns = {"seconds": np.array([float(time) for time in clock.times])} | columns
    rows = (np.asarray(column, "<f4").tobytes() for column in columns.values())
    return timeline.pack_head(_head(item, clock, list(columns), shot_starts, shows)) + b"".join(rows)


def _head(
    item: ItemView, clock: Clock, names: list[str], shot_starts: Collection[int], shows: NDArray[np.int64]
) -> dict[str, Any]:
    assert item.facts is not None
    return {
        "version": timeline.VERSION,
        "frames": item.facts.frame_count,
        "rate": str(clock.rate),
        "variable_rate": bool(clock.times),
        "timecode": item.facts.timecode,
        "columns": [_column(name) for name in names],
        "shots": sorted(shot_starts),
        "substitutes": [entry.model_dump(mode="json") for entry in item.substitutes],
        "stand_ins": _runs(shows != np.arange(len(shows))),
        "damaged": item.facts.damaged,
        "gates": [
            {"metric": gate.metric, "relation": gate.relation, "value": gate.value} for gate in item.recipe.gates
        ],
    }


def _in_order(values: Values) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the columns of metrics as the catalogue has them, then those of steps."""
    order = list(METRICS)
    metrics = {name: spec for name in values if (spec := _metric_of(name))}
    for name in sorted(metrics, key=lambda name: (order.index(metrics[name].name), name)):
        yield name, values[name]
    yield from ((name, series) for name, series in values.items() if name not in metrics)


def _column(name: str) -> dict[str, Any]:
    """Say what a column's values are."""
    spec = _metric_of(name)
    if spec is None:
        unit, high = ("s" if name == "seconds" else "1"), (1.0 if name.startswith(_SHARES) else None)
        return {"name": name, "metric": "", "unit": unit, "low": 0.0, "high": high, "higher_is_better": None}
    # What a whole reel is judged by may not be what is better in one frame: its mean luma is no fault.
    better = None if name == spec.frame_value else spec.higher_is_better
    facts = {"unit": spec.unit, "low": spec.low, "high": spec.high, "higher_is_better": better}
    return {"name": name, "metric": spec.name, **facts}


def _metric_of(name: str) -> MetricSpec | None:
    by_value = (spec for spec in METRICS.values() if name in (spec.name, spec.frame_value))
    return next(by_value, None) or METRICS.get(_DISTANCE.sub("", name))


def _runs(marks: NDArray[np.bool_]) -> list[list[int]]:
    """Return where marks stand in a row, as half-open ranges."""
    edges = np.flatnonzero(np.diff(marks.astype(np.int8), prepend=0, append=0))
    found: list[list[int]] = edges.reshape(-1, 2).tolist()
    return found
