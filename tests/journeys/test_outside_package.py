"""A package from outside is installed as its users would, and brings a stage, metrics and weights into a job."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.support.reels import film

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "support" / "outside"
RECIPE = "recipe:\n  - lantern: {gain: 1.5}\n  - colorize: {model: hand_tint}\noutputs: [master, scores]\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which Reelwright finds the installed package."""
    folder = tmp_path_factory.mktemp("site")
    sources = tmp_path_factory.mktemp("sources")
    # Built from a copy: a build writes into its source.
    subprocess.run(["cp", "-r", str(PACKAGE), str(sources)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder), str(sources / "outside")], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def reelwright(environment: dict[str, str], home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "reelwright", "--home", str(home), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=home.parent)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_an_outside_stage_metric_and_network_take_part_in_a_job(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    torch.manual_seed(0)
    weights = tmp_path / "hand_tint.pth"
    torch.save(torch.nn.Conv2d(1, 2, 1).state_dict(), weights)
    reelwright(environment, home, "models", "add", str(weights))
    archive = tmp_path / "archive"
    archive.mkdir()
    frames = [np.full((1, 48, 64), level, np.uint8) for level in [80] * 6 + [170] * 2]
    film(archive / "reel.mkv", frames, "gray", rate=Fraction(18))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    reelwright(environment, home, "run", str(archive), "--recipe", str(tmp_path / "recipe.yaml"))

    results = home / "results" / "job-1"
    table = pq.read_table(next(results.rglob("*.scores.parquet"))).to_pydict()
    # The lamp makes 120 of 80 and white of 170, and white takes no colour.
    assert table["highlight_share"] == [0, 0, 0, 0, 0, 0, 1, 1]
    steps = table["luma_step_2"]
    assert all(np.isnan(steps[:2]))
    assert steps[2:6] == [0, 0, 0, 0]
    assert steps[6] == steps[7] > 0.3
    with (results / "report.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scores = json.loads(rows[0]["x_scores"])
    assert scores["highlight_share"] == pytest.approx(2 / 8, abs=0.01)
    assert scores["luma_step"] == pytest.approx(2 * steps[6] / 6)
    assert scores["colorfulness"] > 1, "the outside network coloured it"


def test_commands_list_what_an_outside_package_brings(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "lantern" in reelwright(environment, home, "stages")
    assert "highlight_share" in reelwright(environment, home, "metrics")
    assert "two frames apart" in reelwright(environment, home, "metrics", "luma_step")
    assert "hand-tint" in reelwright(environment, home, "models", "list")
