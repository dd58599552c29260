"""The benchmarks' table: what misses its bar is named, and ends the command with 1."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from benchmarks import films, jobs, peer, rows
from benchmarks.__main__ import NAMES, SHORT, main, read_arguments, report
from db.recipe import parse

MET, MISSED = rows.at_least("quick enough", 2, 1), rows.at_most("memory of it", 20, 16, " MB")


def test_a_missed_bar_is_named_after_the_table_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([MET, MISSED]) == 1
    shown = capsys.readouterr()
    assert "| quick enough | 2.00 | ≥ 1 | yes |\n| memory of it | 20.00 MB | ≤ 16 MB | no |" in shown.out
    assert shown.err.splitlines() == ["Missed its bar: memory of it: 20.00 MB; the bar is ≤ 16 MB"]


def test_met_bars_and_figures_without_one_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([MET, rows.told("ms a frame", 3)]) == 0
    shown = capsys.readouterr()
    assert "| ms a frame | 3.00 | – | – |" in shown.out
    assert shown.err == ""


def test_a_figure_that_is_no_number_meets_no_bar() -> None:
    nothing = float("nan")
    assert len(rows.missed([rows.at_least("a", nothing, 1), rows.at_most("b", nothing, 1)])) == 2


def test_without_names_all_are_asked_for_or_all_that_are_short() -> None:
    assert read_arguments([]) == (NAMES, False)
    assert read_arguments(["--short"]) == (tuple(SHORT), True)
    assert read_arguments(["--short", "jobs", "models"]) == (["jobs", "models"], True)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["resstore"])
    assert caught.value.code == 2
    assert "resstore" in capsys.readouterr().err


def test_every_benchmark_that_can_be_named_has_its_module() -> None:
    folder = Path(importlib.import_module("benchmarks").__path__[0])
    assert [name for name in NAMES if not (folder / f"{name}.py").exists()] == []
    assert set(SHORT) < set(NAMES)


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


def test_what_is_measured_on_a_gpu_runs_on_a_cpu() -> None:
    done = run_module("benchmarks.gpu", "--device", "cpu", "--short")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    told = " ".join(row[0] for row in rows)
    for what in ("furthest from the CPU", "share of peak", "compiled ÷ eager", "colorize with", "upscale with"):
        assert what in told
    assert all(row[-1] in {"yes |", "– |"} and "not measured" not in row[1] for row in rows)


def test_a_stand_in_for_a_device_is_fed(tmp_path: Path) -> None:
    path = films.make_film(tmp_path, films.Film("tiny", (180, 240), "yuv420p", "libx264", 16))
    for part, told in (("in_turn", {"codecs", "wall", "cpu"}), ("busiest", {"busiest"})):
        done = run_module("benchmarks.feed", part, str(path), "2")
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert set(figures) == told
        assert min(figures.values()) > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu"])
    assert importlib.import_module("benchmarks.gpu").main() == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("benchmarks.gpu needs a GPU")
    assert len(shown.err.splitlines()) == 1


TOY = films.Film("toy", (96, 128), "gray", "ffv1", 64)
TIMES = jobs.JobTimes(12, 10, {"probe": 1, "restore": 8, "read_back": 9}, 20)


def frames_of(film: Path) -> Iterator[np.ndarray]:
    with av.open(str(film)) as container:
        yield from (frame.to_ndarray() for frame in container.decode(video=0))


@pytest.mark.parametrize(("pixel_format", "codec"), [("gray", "ffv1"), ("yuv420p", "libx264")])
def test_the_script_and_the_house_write_the_source_to_the_bit(tmp_path: Path, pixel_format: str, codec: str) -> None:
    film = films.make_film(tmp_path, replace(TOY, frames=4, pixel_format=pixel_format, codec=codec))
    spent = peer.run_script(film, tmp_path, 1) | peer.keep_as_the_house(film, tmp_path, 4)
    assert set(spent) == {*peer.SCRIPT, "master", "read back"}
    for master in ("script.mkv", "master.mkv"):
        pairs = zip(frames_of(tmp_path / master), frames_of(film), strict=True)
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_codecs_that_run_side_by_side_are_measured_from_the_first_to_the_last(tmp_path: Path) -> None:
    costs = peer.run_codecs(films.make_film(tmp_path, TOY), tmp_path, 16, 2)
    assert set(costs.cpu_ms) == set(peer.SCRIPT)
    assert (
        sum(costs.cpu_ms.values()) * 16 / 1000 <= costs.wall * 1.1
    )  # each does all of it, on a core of its own at best


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not confine processes")
def test_processes_that_are_started_while_confined_have_one_core() -> None:
    before = jobs.cores()
    with jobs.confined(1):
        count = subprocess.check_output([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"])
    assert int(count) == 1
    assert jobs.cores() == before


def test_what_a_job_must_decode_besides_is_counted_where_it_is_surveyed() -> None:
    cpu_ms = {"decode": 10, "plain master": 5, "access": 15, "master": 8, "read back": 7}
    floors = []
    for kinds in ({"restore": 1}, {"restore": 1, "inspect": 1}):
        floor, house = jobs.floor_rows("toy", 100, replace(TIMES, kinds=kinds), cpu_ms, 4)
        floors.append(float(floor.measured.split()[0]))
        assert "CPU ms a frame: 160.0 beside" in house.measured
    assert floors == [1.33, 1.67]  # 40 and 50 beside 30


def test_one_core_beside_two_is_told_as_a_share_of_what_the_machine_can(monkeypatch: pytest.MonkeyPatch) -> None:
    times = jobs.FilmJobs(replace(TIMES, span=16), TIMES, TIMES)
    monkeypatch.setattr(jobs, "cores", lambda: {0, 1})
    assert jobs.core_row("toy", times, 2).measured.startswith("1.60 (80 % of")
    monkeypatch.setattr(jobs, "cores", set)
    row = jobs.core_row("toy", times, 2)
    assert row.measured.startswith("not measured")
    assert row.met


def test_a_whole_film_is_measured_with_all_that_bounds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = cache(lambda: run_job(tmp_path / "job", films.make_film(tmp_path, TOY), parse("recipe: []", "bench"), 2))
    run_job = jobs.run_job
    # One job stands for all three, whose workers take seconds to start.
    monkeypatch.setattr(jobs, "run_job", lambda *_: job())
    recipes = {jobs.BOUND_RECIPE: jobs.RECIPES[jobs.BOUND_RECIPE]}
    shown = jobs.measure_film(tmp_path, TOY, recipes, short=True)
    told = " ".join(row.what for row in shown)
    for what in ("two processes", "serial share", "on one core", "of a script", "bound of one"):
        assert what in told
    assert "one worker ÷ two" not in told
    whole = jobs.FilmJobs(TIMES, replace(TIMES, span=15), TIMES)
    assert [row.measured for row in jobs.scaling_rows("toy", TOY, whole) if "÷ two" in row.what] == ["1.50"]
    assert all(np.isfinite(float(row.measured.split()[0].replace(",", ""))) for row in shown)
