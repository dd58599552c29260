"""Whether numbered pictures are a film's frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from db.beneath import real_roots
from orchestrator.manifest.places import PathResolver
from orchestrator.manifest.series import SeriesJudge

TIFFS = [f"f_{number:04d}.tif" for number in range(1, 101)]


def _judge(
    folder: Path, answer: Mapping[str, Any] | None, orders: list[Mapping[str, Any]] | None = None
) -> SeriesJudge:
    def ask(order: Mapping[str, Any]) -> Mapping[str, Any]:
        (orders if orders is not None else []).append(order)
        return answer or {}

    roots = real_roots([str(folder)])
    return SeriesJudge("auto", PathResolver(folder, roots), roots, None if answer is None else ask)


@pytest.mark.parametrize(
    ("answer", "is_reel", "reason"),
    [
        ({"sizes": [[40, 30]] * 8, "likeness": [0.9, 0.1, 0.9, 0.8]}, True, "alike"),
        ({"sizes": [[40, 30]] * 8, "likeness": [0.3, 0.1, 0.9, 0.0]}, False, "not alike"),
        ({"sizes": [[40, 30], [41, 30], [40, 31], [40, 30]], "likeness": [0.9, 0.9]}, False, "sizes differ"),
        ({"sizes": [[40, 30]] * 7 + [[41, 30]], "likeness": [0.9] * 4}, True, "alike"),
        ({"sizes": [[40, 30]] * 8, "likeness": [0.9] * 4, "cameras": ["A 1", "B"]}, False, "several cameras"),
        ({"sizes": [[40, 30]] * 8, "likeness": [0.9] * 4, "cameras": ["A 1"]}, True, "alike"),
        ({"sizes": [[40, 30]] * 8, "likeness": [0.9] * 4, "apart_seconds": [2, 86400, 3600]}, False, "long after"),
        ({"sizes": [[40, 30]] * 8, "likeness": [0.9] * 4, "apart_seconds": [2, 86400, 3]}, True, "alike"),
        ({"sizes": [], "likeness": []}, False, "nothing can be compared"),
        ({"code": "OUT_OF_MEMORY", "message": "…"}, False, "nothing can be compared"),
        (None, False, "nobody"),
    ],
)
def test_like_neighbours_are_frames_and_what_is_uncertain_is_stills(
    tmp_path: Path, answer: Mapping[str, Any] | None, is_reel: bool, reason: str
) -> None:
    judge = _judge(tmp_path, answer)
    assert judge.is_reel("box/", "f_0001-0100.tif", TIFFS) is is_reel
    (note,) = judge.notes()
    assert "box/f_0001-0100.tif: 100 numbered pictures" in note
    assert reason in note
    assert f"--numbered {'stills' if is_reel else 'reel'}" in note


@pytest.mark.parametrize("suffix", ["dpx", "DPX", "exr", "cin"])
def test_files_of_film_scanners_are_a_reel_unlooked_at(tmp_path: Path, suffix: str) -> None:
    judge = _judge(tmp_path, None)
    assert judge.is_reel("", "x", [f"f{number}.{suffix}" for number in range(5)])


@pytest.mark.parametrize("numbered", ["reel", "stills"])
def test_a_person_decides(tmp_path: Path, numbered: Any) -> None:
    for names in (TIFFS, ["a1.dpx", "a2.dpx"]):
        judge = SeriesJudge(numbered)
        assert judge.is_reel("", "x", names) is (numbered == "reel")
        assert list(judge.notes()) == []


def test_few_neighbours_are_looked_at_and_only_once(tmp_path: Path) -> None:
    orders: list[Mapping[str, Any]] = []
    judge = _judge(tmp_path, {"sizes": [], "likeness": [0.9]}, orders)
    assert [judge.is_reel("", "x", TIFFS) for _ in range(2)] == [True, True]
    (order,) = orders
    numbers = [int(Path(uri).stem[2:]) for uri in order["uris"]]
    assert numbers == [1, 2, 34, 35, 66, 67, 99, 100]
    assert order["roots"] == real_roots([str(tmp_path)])
    orders.clear()
    judge.is_reel("", "y", TIFFS[:5])
    assert [int(Path(uri).stem[2:]) for uri in orders[0]["uris"]] == [1, 2, 2, 3, 3, 4, 4, 5]


def test_of_many_series_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    judge = _judge(tmp_path, {"sizes": [], "likeness": [0.9]})
    for number in range(9):
        judge.is_reel(f"{number}/", "x", TIFFS)
    notes = list(judge.notes())
    assert len(notes) == 6
    assert "9 are reels, 0 are stills" in notes[-1]
