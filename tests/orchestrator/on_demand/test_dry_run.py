"""The dry run, with a worker process that looks into the files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from db.settings import Settings
from orchestrator.on_demand.dry_run import dry_run
from tests.support.reels import film, moving


def test_rates_that_contradict_the_headers_are_told_and_are_no_problem(settings: Settings, tmp_path: Path) -> None:
    for number in range(8):
        film(tmp_path / f"{number}.mkv", moving(2), "gray", rate=Fraction(24))
    rows = "".join(f"{number}.mkv,{24 if number == 0 else 18}\n" for number in range(8))
    (tmp_path / "m.csv").write_text("uri,fps\n" + rows)
    found = dry_run(settings, tmp_path / "m.csv", recipe="identity")
    assert (found.good_lines, found.problem_count, found.other_rates) == (8, 0, 7)
    assert len(found.notes) == 6
    assert found.notes[0].startswith("FPS_CONFLICT, line 3: the header says 24 frames a second, the manifest 18;")
    assert found.notes[-1] == "FPS_CONFLICT: 7 reels in all"


def test_a_worker_that_falls_silent_over_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """None can have come up, read and answered in so short a time."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"anything")
    house = Settings(home=tmp_path / "home", stall_seconds=0.05, heartbeat_seconds=0.05)
    found = dry_run(house, tmp_path, recipe="identity")
    assert (found.good_lines, found.problems_by_code) == (2, {"STALLED": 2})
    assert "0.05" in found.problems[0].message
