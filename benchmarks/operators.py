"""What each stage of the film recipes costs, in optical flows of the same size: flows are most of it, and the unit.

CPU seconds on one thread, of frames in the middle of a segment, where what is remembered of those before is there.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.restoration.costs import flow_seconds_of, make_film, seconds_per_frame
from benchmarks.rows import ResultRow
from db.recipe import Step, resolve

SIZES = ((480, 640), (1080, 1440), (1556, 2048))
RECIPES = ("silent-film", "old-film")
CELL = 4
"""Frames that are timed, after as many that are not."""
IN_COLOR = {"stabilize_color"}
TINT = np.array([1, 0.9, 0.8], np.float32)[:, None, None]


def run(folder: Path) -> list[ResultRow]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    costs: dict[str, list[float]] = defaultdict(list)
    flows = []
    for size in SIZES:
        frames = make_film(4 * CELL, *size)
        flows.append(flow_seconds_of(frames))
        for step in steps():
            shown = np.repeat(frames, 3, axis=1) * TINT if step.stage in IN_COLOR else frames
            costs[step.stage].append(seconds_per_frame(step, shown, CELL) / flows[-1])
    where = " / ".join(f"{width}×{height}" for height, width in SIZES)
    rows = [_row(f"one optical flow, ms: {where}", [1000 * seconds for seconds in flows], 0)]
    rows += [_row(f"`{stage}`, a frame ÷ one flow", ratios, 2) for stage, ratios in costs.items()]
    for name in RECIPES:
        stages = [step.stage for step in resolve(name).steps if step.stage in costs]
        sums = [sum(costs[stage][place] for stage in stages) for place in range(len(SIZES))]
        rows.append(_row(f"`{name}` without networks, a frame ÷ one flow", sums, 1))
    return rows


def steps() -> list[Step]:
    """The recipes' steps that run without networks, each once."""
    every = {step.stage: step for name in RECIPES for step in resolve(name).steps}
    return [step for step in every.values() if step.stage != "colorize"]


def _row(what: str, values: list[float], digits: int) -> ResultRow:
    return ResultRow(what, " / ".join(f"{value:.{digits}f}" for value in values), "–", True)
