"""What plots are made of: ranges, thinning and times, asked in the browser that will run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Tab

Ask = Callable[..., Any]


@pytest.fixture
def ask(tab: Tab) -> Ask:
    """Evaluate an expression in which ``plots`` is the module."""
    page = tab.go("/")
    folder = str(page.locator("link[rel=stylesheet]").get_attribute("href")).rpartition("/")[0]
    return lambda text: page.evaluate(f"import('{folder}/plots.js').then((plots) => {{ return {text}; }})")


WAVE = "Float32Array.from({ length: 20000 }, (_, n) => 40 + 5 * Math.sin(n / 50))"


def test_one_spike_does_not_flatten_the_axis(ask: Ask) -> None:
    calm = ask(f"plots.robustRange([{WAVE}], 0, 20000)")
    spiky = ask(f"plots.robustRange([({WAVE}).fill(-900, 777, 778)], 0, 20000)")
    assert spiky["clipped"]
    assert not calm["clipped"]
    assert spiky["low"] == pytest.approx(calm["low"], abs=4)
    assert (spiky["low"] > 30, spiky["high"] < 50) == (True, True)


def test_what_has_no_value_has_no_part_in_the_range(ask: Ask) -> None:
    assert ask("plots.robustRange([Float32Array.of(NaN, NaN)], 0, 2)") == {"low": 0, "high": 1, "clipped": False}
    found = ask("plots.robustRange([Float32Array.of(NaN, 1, 2, NaN, 3)], 0, 5)")
    assert found["low"] <= 1
    assert found["high"] >= 3


def test_every_frame_is_drawn_of_a_reel_that_is_not_very_long(ask: Ask) -> None:
    places, values = ask(f"plots.drawable([{WAVE}], 0, 20000, 800).map((each) => each.length)")
    assert (places, values) == (20000, 20000)


def test_a_single_frame_is_not_lost_when_a_long_reel_is_thinned(ask: Ask) -> None:
    made = "Float32Array.from({ length: 90001 }, () => 40).fill(2, 61234, 61235)"
    values = ask(f"Array.from(plots.drawable([{made}], 0, 90001, 900)[1])")
    assert len(values) < 2000
    assert min(values) == 2
    places = ask(f"Array.from(plots.drawable([{made}], 0, 90001, 900)[0])")
    assert abs(places[values.index(2)] - 61234) < 101


def test_a_hole_stays_a_hole(ask: Ask) -> None:
    assert ask("Array.from(plots.drawable([Float32Array.of(1, NaN, 3)], 0, 3, 800)[1])") == [1, None, 3]


@pytest.mark.parametrize(
    ("frame", "rate", "text"), [(0, 24, "00:00:00:00"), (86_399, 24, "00:59:59:23"), (17, 16, "00:00:01:01")]
)
def test_frames_and_times_lead_to_each_other(ask: Ask, frame: int, rate: float, text: str) -> None:
    assert ask(f"plots.timecode({frame}, {rate})") == text
    assert ask(f"plots.frameOf('{text}', {rate})") == frame


@pytest.mark.parametrize(
    ("text", "frame"), [("10", 240), ("1:00", 1440), ("0.5", 12), ("noon", None), ("1:2:3:4:5", None)]
)
def test_seconds_and_minutes_are_times_as_well(ask: Ask, text: str, frame: int | None) -> None:
    found = ask(f"plots.frameOf('{text}', 24)")
    assert found == frame or (frame is None and found != found)


def test_a_gate_judges_its_own_column_and_those_of_its_distances(ask: Ask) -> None:
    head = (
        "{gates: [{metric: 'warp_error', relation: '<=', value: 1}, {metric: 'flicker', relation: '<=', value: 1}], "
        "columns: [{name: 'warp_error_1', metric: 'warp_error'}, {name: 'mean_luma', metric: 'flicker'}]}"
    )
    assert ask(f"plots.frameGates({head}).map((gate) => gate.column.name)") == ["warp_error_1"]
    assert ask("[3, 0.5, NaN].map((value) => plots.misses({relation: '<=', value: 1}, value))") == [True, False, False]


def test_shots_are_found_around_a_frame(ask: Ask) -> None:
    assert ask("plots.shotAround([0, 10, 30], 12, 50)") == [10, 30, 0]
    assert ask("plots.shotAround([0, 10, 30], 45, 50)") == [30, 49, 10]
