from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.bounds import ScoreBound
from db.records import BelowGate
from workers.tasks import gates

PSNR = ScoreBound.parse("luma_psnr >= 30")


def _below(gate: str, series: list[float], metric: str = "luma_psnr") -> list[tuple[int | None, int | None, float]]:
    bound = ScoreBound.parse(f"{metric} {gate}")
    found = gates.below_gates([bound], {metric: np.array(series, np.float64)}, {})
    assert all((row.metric, row.gate) == (metric, gate) for row in found)
    return [(row.start_frame, row.stop_frame, row.value) for row in found]


def test_neighbouring_frames_are_one_place_with_the_worst_value() -> None:
    series = [40.0] * 60
    series[3:6] = [29, 12, 28]
    series[40] = 20
    assert _below(">= 30", series) == [(3, 6, 12), (40, 41, 20)]


def test_where_less_is_asked_for_the_largest_is_the_worst() -> None:
    assert _below("< 0.1", [0, 0.1, 0.5, 0], "noise_sigma") == [(1, 3, 0.5)]


@pytest.mark.parametrize(("apart", "places"), [(gates.JOIN_FRAMES, 1), (gates.JOIN_FRAMES + 1, 2)])
def test_places_that_lie_near_one_another_are_joined(apart: int, places: int) -> None:
    series = [40.0] * 40
    series[5] = series[5 + apart] = 1
    assert len(_below(">= 30", series)) == places


def test_a_frame_without_a_value_is_below_no_gate() -> None:
    assert _below(">= 30", [np.nan, 40, np.inf]) == []


def test_very_many_places_become_the_worst_and_a_note() -> None:
    series = np.full(40_000, 40.0)
    series[:: gates.JOIN_FRAMES + 1] = np.linspace(0, 29, len(series[:: gates.JOIN_FRAMES + 1]))
    found = gates.below_gates([PSNR], {"luma_psnr": series}, {})
    assert len(found) == gates.MOST_RUNS
    assert max(row.value for row in found) < 3
    (note,) = gates.notes([PSNR], {"luma_psnr": series}, {})
    assert note == "luma_psnr >= 30 is not met in 3077 places; the 200 worst are told."


def test_a_whole_reel_is_held_against_its_score() -> None:
    flicker = ScoreBound.parse("flicker < 0.02")
    values = {"mean_luma": np.array([0.1, 0.9, 0.1])}
    assert gates.below_gates([flicker], values, {"flicker": 0.5}) == (
        BelowGate(metric="flicker", gate="< 0.02", value=0.5),
    )
    assert gates.below_gates([flicker], values, {"flicker": 0.01}) == ()
    assert gates.of_frames([flicker, PSNR]) == (PSNR,)


def test_a_score_that_was_not_taken_is_told() -> None:
    (note,) = gates.notes([ScoreBound.parse("warp_error < 0.1"), PSNR], {"luma_psnr": np.array([1.0])}, {})
    assert note == "warp_error < 0.1 was not looked at: this score was not taken."


@given(st.lists(st.sampled_from([10.0, 20.0, 30.0, 40.0, np.nan]), max_size=120))
def test_places_hold_every_frame_below_and_begin_and_end_with_one(series: list[float]) -> None:
    below = {number for number, value in enumerate(series) if value < 30}
    rows = _below(">= 30", series)
    covered = [set(range(start or 0, stop or 0)) for start, stop, _ in rows]
    assert below <= set().union(*covered)
    assert sum(map(len, covered)) == len(set().union(*covered))
    for (start, stop, value), frames in zip(rows, covered, strict=True):
        assert start in below
        assert (stop or 0) - 1 in below
        assert value == min(series[number] for number in frames & below)
    assert [value for *_, value in rows] == sorted(value for *_, value in rows)
