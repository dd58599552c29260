"""Access copies at another rate than the master's."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.reels import film, house, item, whole_life
from workers.media.film.timing import Clock
from workers.tasks import pace


def _ramp(count: int) -> list[np.ndarray]:
    """Pictures whose value is their number: what lies between two is a mixture of both."""
    return [np.full((1, 48, 48), number / 100, np.float32) for number in range(count)]


def _values(
    rate: str, count: int, clock: Clock, cuts: tuple[int, ...] = (), span: tuple[int, int] | None = None
) -> list[float]:
    first, stop = span = span or (0, count)
    made = pace.change_rate(_ramp(count)[first : stop + 1], clock, count, Fraction(rate), cuts, span)
    return [round(float(picture.mean()) * 100, 2) for picture in made]


def test_frames_lie_on_the_line_between_those_around_them() -> None:
    assert _values("24", 4, Clock(Fraction(16))) == pytest.approx([0, 0.67, 1.33, 2, 2.67, 3], abs=0.02)


def test_a_slower_rate_leaves_frames_out() -> None:
    assert _values("8", 6, Clock(Fraction(16))) == [0, 2, 4]


def test_nothing_is_made_over_a_cut() -> None:
    assert _values("32", 4, Clock(Fraction(16)), cuts=(2,)) == pytest.approx([0, 0.5, 1, 1, 2, 2.5, 3, 3], abs=0.02)


def test_uneven_times_are_evened_out() -> None:
    times = tuple(Fraction(each, 10) for each in (0, 1, 3, 4))
    assert _values("10", 4, Clock(Fraction(10), times)) == pytest.approx([0, 1, 1.5, 2, 3], abs=0.02)


def test_the_last_of_uneven_frames_is_shown_as_long_as_one_at_the_reels_rate() -> None:
    times = tuple(Fraction(each) for each in (0, 1, 9))
    assert len(_values("2", 3, Clock(Fraction(1), times))) == 20


def test_a_span_ends_where_it_was_cut() -> None:
    assert len(_values("4", 2, Clock(Fraction(2), lasts=Fraction(3, 2)))) == 6


def test_one_frame_lasts_as_long_as_it_did() -> None:
    assert _values("24", 1, Clock(Fraction(12))) == [0, 0]


@pytest.mark.parametrize("rate", ["24", "8", "16", "0.3", "50/3"])
@pytest.mark.parametrize("times", [(), (0, 1, 3, 4, 9, 10, 20, 21, 22, 30)])
def test_blocks_come_to_what_the_whole_does(rate: str, times: tuple[int, ...]) -> None:
    clock = Clock(Fraction(16), tuple(Fraction(each, 16) for each in times))
    whole = _values(rate, 10, clock, cuts=(5,))
    for length in (1, 3, 4, 9):
        spans = [(start, min(10, start + length)) for start in range(0, 10, length)]
        assert [value for span in spans for value in _values(rate, 10, clock, (5,), span)] == whole


def test_the_access_copy_runs_at_its_own_rate_and_the_master_at_the_reels(tmp_path: Path) -> None:
    at = house(tmp_path)
    frames = [np.full((1, 32, 48), 40 + 4 * number, np.uint8) for number in range(16)]
    path = film(tmp_path / "a.mkv", frames, "gray", rate=Fraction(16), sound="aac")
    _, result = whole_life(at, item(path, "{recipe: [], access: {fps: 24}}"), 8)
    with av.open(str(at.path(result.outputs["master"]))) as master:
        assert sum(1 for _ in master.decode(video=0)) == 16
    with av.open(str(at.path(result.outputs["access"]))) as access:
        shown = [float(frame.time) for frame in access.decode(video=0)]
        sound = access.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(1, abs=0.2)
    assert len(shown) == 24
    assert np.diff(shown) == pytest.approx(np.full(23, 1 / 24), abs=1e-3)
    assert any("24 frames per second" in note for note in result.notes)
