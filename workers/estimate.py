"""How long a recipe takes on this machine, found by trying it. Probe and tasks may import this."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from db.recipe import Recipe, Step
from workers import stages
from workers.frames import Clip, Reel
from workers.ops import exposure

_WIDTH, _HEIGHT = 192, 144
_FRAMES = 2
_ROUNDS = 2


@dataclass(frozen=True)
class _Trial:
    """One step tried on a clip."""

    frames: torch.Tensor
    seconds: float


def seconds_per_frame(recipe: Recipe, width: int, height: int, mono: bool, device: str = "cpu") -> float:
    """Return how long the recipe's steps take for one frame of ``width`` x ``height``, reading and writing not counted.

    The steps run on a small clip with grain and motion; their time grows with the number of pixels.
    """
    clip = _clip(1 if mono else 3, 1 + 2 * max((stages.temporal_radius(step) for step in recipe.steps), default=0))
    frames, seconds = clip.to(device), 0.0
    for step in recipe.steps:
        trial = _try(step, frames)
        frames, seconds = trial.frames, seconds + trial.seconds
    return seconds * width * height / (_WIDTH * _HEIGHT)


def _try(step: Step, frames: torch.Tensor) -> _Trial:
    """Run one step on frames in the middle of the clip, and enlarge the clip as the step would."""
    count = len(frames)
    profile = exposure.profile(exposure.measure(frames))
    reel = Reel(count, Fraction(24), ((0, count),), profile, mono_source=frames.shape[1] == 1)
    window, first = Clip(frames, 0, tuple(range(count))), (count - _FRAMES) // 2
    seconds = []
    # The first round also loads modules, so the quickest round counts.
    for _ in range(_ROUNDS + 1):
        began = time.perf_counter()
        restored = stages.apply(step, window, first, first + _FRAMES, reel)
        _finish(restored)
        seconds.append((time.perf_counter() - began) / _FRAMES)
    return _Trial(restored[:1].expand(count, -1, -1, -1), min(seconds))


def _finish(frames: torch.Tensor) -> None:
    # Accelerators work ahead: reading one value waits for them.
    frames.flatten()[:1].cpu()


def _clip(channels: int, frames: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    moving = [0.5 + 0.3 * np.sin((columns + 2 * n) / 9) * np.sin((rows + n) / 7) for n in range(frames + _FRAMES - 1)]
    pictures = np.stack(moving)[:, None] + 0.05 * rng.standard_normal((len(moving), channels, _HEIGHT, _WIDTH))
    return torch.from_numpy(pictures.astype(np.float32))
