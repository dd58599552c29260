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
