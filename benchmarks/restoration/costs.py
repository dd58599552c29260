"""What each stage costs: CPU seconds a frame as a ratio to one optical flow of the same size, on one core."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.restoration.films import Pictures, reel_of
from benchmarks.restoration.page import Chapter, Figure
from db.catalog.stages import STAGES
from db.recipe import Recipe, Step
from workers import profiles, stages
from workers.frames import Clip, Memo
from workers.ops import flow

_SIZES = ((480, 640), (1080, 1920))
_FRAMES, _CELL = 24, 8
_GIVEN_MASK = frozenset({"inpaint"})


def measure(media: Path) -> Chapter:
    """Measure every stage that needs no weights, and every kind of profile."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: dict[str, list[str]] = {}
    for size in _SIZES:
        frames = make_film(_FRAMES, *size)
        flow_seconds = flow_seconds_of(frames)
        for kind in profiles.ORDER:
            seconds = _best(lambda kind=kind, frames=frames: profiles.measure((kind,), frames[1], frames[0]), 3)
            rows.setdefault(f"profile `{kind}`, a frame", []).append(f"{seconds / flow_seconds:.2f}")
        for name, spec in STAGES.items():
            params = spec.params().model_dump(mode="json")
            if spec.done_by_probe or (Step(stage=name, params=params).cards() and name != "denoise"):
                continue
            if name == "denoise":
                params |= {"method": "temporal"}
            seconds = seconds_per_frame(Step(stage=name, params=params), frames)
            rows.setdefault(f"`{name}`, a frame", []).append(f"{seconds / flow_seconds:.2f}")
    figures = [Figure(what, "", " / ".join(ratios)) for what, ratios in rows.items()]
    sizes = " / ".join(f"{width} × {height}" for height, width in _SIZES)
    text = f"""CPU seconds a frame, grey, one core, defaults, as a ratio to one optical flow (`workers.ops.flow.motion`)
of the same size: {sizes}. A stage is timed over a cell in the middle of a segment, where what it remembers of the
frames before is there, as in a job. `inpaint` has a mask of a hundredth of the picture."""
    return Chapter("Cost", text, figures)


def make_film(count: int, height: int, width: int) -> Pictures:
    """Return a pan over a blotchy scene with grain and specks, ``(count, 1, height, width)``."""
    rng = np.random.default_rng(0)
    scene = np.zeros((height, width + 2 * count), np.float32)
    for side in (8, 32, 128):
        coarse = rng.random((height // side + 2, width // side + 2)).astype(np.float32)
        scene += cv2.resize(coarse, scene.shape[::-1], interpolation=cv2.INTER_CUBIC) / 3
    frames = []
    for number in range(count):
        frame = scene[:, 2 * number : 2 * number + width] + rng.normal(0, 0.03, (height, width)).astype(np.float32)
        for _ in range(20):
            center = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.circle(frame, center, int(rng.integers(1, 5)), float(rng.integers(2)), -1)
        frames.append(frame[None])
    return np.stack(frames)


def seconds_per_frame(step: Step, frames: Pictures, cell_frames: int = _CELL) -> float:
    """Return the CPU seconds that a frame of the second cell takes: what is remembered of the first is there."""
    reel = reel_of(frames, Recipe(name="timed", steps=(step,)), None)
    mask = torch.zeros((len(frames), 1, *frames.shape[-2:]), dtype=torch.bool)
    side = int((frames.shape[-1] * frames.shape[-2] * 0.01) ** 0.5)
    if step.stage in _GIVEN_MASK:
        mask[..., 40 : 40 + side, 60 : 60 + side] = True
    clip = replace(Clip(torch.from_numpy(frames), 0, tuple(range(len(frames)))), mask=mask)
    memo, seconds = Memo(), 0.0
    for start in (0, cell_frames):
        low, high = max(0, start - step.temporal_radius), min(len(frames), start + cell_frames + step.temporal_radius)
        began = time.process_time()
        stages.apply(step, replace(clip.part(low, high), memo=memo), start, start + cell_frames, reel)
        seconds = time.process_time() - began
        memo.forget_before(start + cell_frames - step.temporal_radius)
    return seconds / cell_frames


def flow_seconds_of(frames: Pictures) -> float:
    """Return the CPU seconds of one optical flow between two frames."""
    return _best(lambda: flow.motion(flow.to_code(frames[4][0]), flow.to_code(frames[5][0])), 5)


def _best(work, times: int) -> float:  # type: ignore[no-untyped-def]
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)
