"""The dry run, with a worker process that looks into the files."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from db.errors import ManifestError
from db.session import Database
from db.settings import Settings
from orchestrator.on_demand.dry_run import dry_run
from orchestrator.submit import SubmitOptions, submit
from tests.support import sequences
from tests.support.reels import film, moving
from tests.workers.media.stills.test_dpx import made as dpx_made


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


def test_more_workers_than_segments_make_a_reel_no_quicker(settings: Settings, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", moving(24), "gray")

    def share(segment_frames: int) -> float:
        house = settings.model_copy(update={"slots": 3, "segment_frames": segment_frames})
        found = dry_run(house, source, recipe="identity")
        assert found.start_seconds > 0
        return (found.wall_seconds - found.start_seconds) / found.work_seconds

    assert share(64) == pytest.approx(1)
    assert share(12) == pytest.approx(1 / 2)
    assert share(8) == pytest.approx(1 / 3)


def test_what_a_person_should_know_of_sources_is_said_once_with_how_many(settings: Settings, tmp_path: Path) -> None:
    for name in ("a.y4m", "b.y4m", "c.y4m"):
        (tmp_path / name).write_bytes(b"YUV4MPEG2 W32 H24 C420jpeg\n" + (b"FRAME\n" + bytes(1152)) * 6)
    for number in range(1, 6):
        dpx_made(tmp_path / f"f_{number}.dpx", film_rate=1e30)
    found = dry_run(settings, tmp_path, recipe="identity")
    assert (found.good_lines, found.problem_count) == (4, 0)
    assert found.notes[:2] == [
        "Line 1 and 2 more: The header gives no frame rate that can be: 25 frames per second were taken. "
        "The field fps decides.",
        "Line 4: The header gives a frame rate that cannot be: 1e+30 in its film part; 24 frames per second were "
        "taken. The field fps decides.",
    ]


@pytest.mark.parametrize("files", [{"m.csv": "uri\n"}, {}, {"readme.txt": "no picture"}])
@pytest.mark.parametrize("probe", [False, True])
def test_what_lists_nothing_is_refused_as_a_submission_of_it(
    settings: Settings, home_database: Database, tmp_path: Path, files: dict[str, str], probe: bool
) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    place = folder / "m.csv" if "m.csv" in files else folder
    with pytest.raises(ManifestError, match="lists nothing") as planned:
        dry_run(settings, place, recipe="identity", probe=probe)
    with pytest.raises(ManifestError) as submitted:
        submit(settings, home_database, place, SubmitOptions(recipe="identity"))
    assert (planned.value.code, planned.value.message) == ("MANIFEST_EMPTY", submitted.value.message)


@pytest.mark.parametrize("frames", [False, True])
def test_every_frame_is_looked_at_before_the_work_if_that_is_wanted(
    settings: Settings, tmp_path: Path, frames: bool
) -> None:
    for number in range(1, 9):
        sequences.write(tmp_path / f"s_{number}.png", sequences.samples(1, 3, 8, 24, 32))
        dpx_made(tmp_path / f"f_{number}.dpx", film_rate=18.0 if number < 7 else 24.0)
    for name in ("s_3.png", "s_4.png", "s_7.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:900])
    (tmp_path / "lone.png").write_bytes((tmp_path / "s_3.png").read_bytes())
    shutil.copy(film(tmp_path / "whole.mkv", moving(8), "gray"), tmp_path / "cut.mkv")
    with (tmp_path / "cut.mkv").open("r+b") as file:
        file.truncate((tmp_path / "cut.mkv").stat().st_size * 3 // 4)
    settings = settings.model_copy(update={"numbered": "reel"})
    found = dry_run(settings, tmp_path, recipe="identity", frames=frames)
    assert found.problems_by_code == ({"TRUNCATED": 3} if frames else {})
    if frames:
        assert any("3 of 8 frames cannot be used: 3-4, 7 (TRUNCATED)" in each.message for each in found.problems)
    assert any("different rates: 1-6 (18); 7-8 (24)" in note for note in found.notes) is frames


def test_a_worker_that_falls_silent_over_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """None can have come up, read and answered in so short a time."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"anything")
    house = Settings(home=tmp_path / "home", stall_seconds=0.05, heartbeat_seconds=0.05)
    found = dry_run(house, tmp_path, recipe="identity")
    assert (found.good_lines, found.problems_by_code) == (0, {"STALLED": 2})
    assert "0.05" in found.problems[0].message
