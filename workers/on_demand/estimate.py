"""How long a recipe takes on this machine, found by trying it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from db.catalog.stages import STAGES
from db.recipe import Recipe, Step
from workers import stages
from workers.frames import Clip, Memo
from workers.workbench import Workbench

_WIDTH, _HEIGHT = 192, 144
_FRAMES = 2
_ROUNDS = 2
_REEL_GREY, _REEL_COLOR, _STILL = 0.2, 0.4, 0.03
"""Seconds that a megapixel takes besides the steps, on one core of now: docs/benchmarks, "all that a worker does"."""


@dataclass(frozen=True)
class _Trial:
    """One step tried on a clip."""

    frames: torch.Tensor
    seconds: float


def seconds_per_frame(recipe: Recipe, width: int, height: int, mono: bool, bench: Workbench | None = None) -> float:
    """Return how long the recipe's steps take for one frame of ``width`` x ``height``, reading and writing not counted.

    The steps run on a small clip with grain and motion. Their time grows with the number of pixels; that of a colorizer
    does not, which sees every picture at its own size. Steps whose weights were not pinned are left out.
    """
    reach = max((stages.temporal_radius(step) for step in recipe.steps), default=0)
    clip = _trial_clip(1 if mono else 3, 1 + _FRAMES + 2 * reach)
    frames, seconds, larger = clip.to(bench.device if bench else "cpu"), 0.0, width * height / (_WIDTH * _HEIGHT)
    for step in recipe.steps:
        if len(step.pins) == len(step.cards()):
            trial = _run_trial(step, frames, bench)
            own_size = step.stage in STAGES and STAGES[step.stage].makes_color
            frames, seconds = trial.frames, seconds + trial.seconds * (1 if own_size else larger)
    return seconds


def seconds_besides(recipe: Recipe, width: int, height: int, mono: bool, is_reel: bool) -> float:
    """Return about how long reading, looking through, scoring and writing one frame or still takes, access copy too."""
    megapixels = width * height * recipe.scale**2 / 1e6
    return megapixels * (_STILL if not is_reel else _REEL_GREY if mono else _REEL_COLOR)


def _run_trial(step: Step, frames: torch.Tensor, bench: Workbench | None) -> _Trial:
    """Run one step on frames in the middle of the clip, and enlarge the clip as the step would."""
    count = len(frames)
    if step.pins and bench:
        stages.prepare(step, bench)
    window, first = Clip(frames, 0, tuple(range(count))), (count - _FRAMES) // 2
    reel = stages.context_of(window, (step,))
    seconds = []
    # The first round also loads modules, so the quickest round counts; a network is slow enough for one frame to do.
    frame_count, rounds = (1, 1) if step.pins else (_FRAMES, _ROUNDS)
    for _ in range(rounds):
        # Motion that the frame before needed too is remembered in a reel, as here; that of a round before never is.
        round_window = replace(window, memo=Memo())
        if not step.pins:
            stages.apply(step, round_window, first - 1, first, reel, bench)
        began = time.perf_counter()
        output = stages.apply(step, round_window, first, first + frame_count, reel, bench)
        _synchronize(output)
        seconds.append((time.perf_counter() - began) / frame_count)
    return _Trial(_frames_behind(frames, output), min(seconds))


def _frames_behind(frames: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Return what the next step is tried on: the clip, with its motion and grain, or one frame again and again."""
    if output.shape[-2:] == frames.shape[-2:]:
        return frames.expand(-1, output.shape[1], -1, -1)
    return output[:1].expand(len(frames), -1, -1, -1)


def _synchronize(frames: torch.Tensor) -> None:
    # Accelerators work ahead: reading one value waits for them.
    frames.flatten()[:1].cpu()


def _trial_clip(channels: int, frames: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    moving = [0.5 + 0.3 * np.sin((columns + 2 * n) / 9) * np.sin((rows + n) / 7) for n in range(frames + _FRAMES - 1)]
    pictures = np.stack(moving)[:, None] + 0.05 * rng.standard_normal((len(moving), channels, _HEIGHT, _WIDTH))
    return torch.from_numpy(pictures.astype(np.float32))
