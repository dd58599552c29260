"""The benchmarks' table: what misses its bar is named, and ends the command with 1."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import jobs, rows
from benchmarks.__main__ import NAMES, SHORT, main, read_arguments, report

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
    path = jobs.make_film(tmp_path, jobs.Film("tiny", (180, 240), "yuv420p", "libx264", 16))
    for part in ("house", "codecs"):
        done = run_module("benchmarks.feed", part, str(path), "2")
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert 0 < figures["busiest"] <= figures["cpu"]
        assert figures["wall"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = run_module("benchmarks.gpu")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("benchmarks.gpu needs a GPU")
    assert len(done.stderr.splitlines()) == 1
