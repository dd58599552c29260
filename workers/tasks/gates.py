"""Holds the scores of a finished item against the gates of its recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from db.bounds import ScoreBound
from db.catalog.metrics import METRICS
from db.records import BelowGate

JOIN_FRAMES = 12
"""Frames below a gate that are at most so far apart are one place: nobody looks at half a second twice."""
MOST_RUNS = 200
"""Places that are kept of each gate: a person who looked at so many of one reel knows it."""

Values = Mapping[str, NDArray[np.float64]]
"""Per frame, by column."""


def of_frames(gates: Iterable[ScoreBound]) -> tuple[ScoreBound, ...]:
    """Return the gates of metrics that say something of single frames: a still is asked for no more."""
    return tuple(gate for gate in gates if _is_of_frames(gate))


def below_gates(gates: Iterable[ScoreBound], values: Values, scores: Mapping[str, float]) -> tuple[BelowGate, ...]:
    """Return what does not meet the gates, gate by gate, the worst first.

    Args:
        gates: The recipe's.
        values: Of every frame, NaN where there is none; the pages of a still are taken as frames.
        scores: Of the item, by metric: what the gates of metrics are held against that reduce a reel to one number.
    """
    return tuple(row for gate in gates for row in _runs(gate, values, scores)[:MOST_RUNS])


def notes(gates: Iterable[ScoreBound], values: Values, scores: Mapping[str, float]) -> Iterator[str]:
    """Say which gates could not be looked at, and of which only the worst places were kept."""
    for gate in gates:
        runs = _runs(gate, values, scores)
        if len(runs) > MOST_RUNS:
            yield f"{gate.metric} {gate.condition} is not met in {len(runs)} places; the {MOST_RUNS} worst are told."
        if _per_frame(gate, values) is None and gate.metric not in scores:
            yield f"{gate.metric} {gate.condition} was not looked at: this score was not taken."


def _runs(gate: ScoreBound, values: Values, scores: Mapping[str, float]) -> list[BelowGate]:
    """Return all places below one gate, the worst first."""
    series = _per_frame(gate, values)
    if series is None:
        score = scores.get(gate.metric)
        missed = score is not None and not gate.is_met_by(score)
        return [BelowGate(metric=gate.metric, gate=gate.condition, value=score)] if missed else []
    frames = np.flatnonzero(np.isfinite(series) & ~gate.is_met_by(series))
    if not frames.size:
        return []
    begins = np.flatnonzero(np.diff(frames, prepend=-JOIN_FRAMES - 1) > JOIN_FRAMES)
    ends = np.append(begins[1:], len(frames)) - 1
    worst = (np.minimum if gate.wants_more else np.maximum).reduceat(series[frames], begins)
    order = np.argsort(worst if gate.wants_more else -worst, kind="stable")
    rows = zip(frames[begins][order].tolist(), frames[ends][order].tolist(), worst[order].tolist(), strict=True)
    return [
        BelowGate(metric=gate.metric, gate=gate.condition, value=value, start_frame=first, stop_frame=last + 1)
        for first, last, value in rows
    ]


def _per_frame(gate: ScoreBound, values: Values) -> NDArray[np.float64] | None:
    """Return a metric's values of all frames; none where it says something of a whole reel alone, or was not taken."""
    return values.get(gate.metric) if _is_of_frames(gate) else None


def _is_of_frames(gate: ScoreBound) -> bool:
    spec = METRICS.get(gate.metric)
    return spec is not None and spec.reduces == "picture"
