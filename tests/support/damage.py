"""Small synthetic films, and seeded damage done to them."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

import numpy as np
import torch

from db.catalog.stages import STAGES
from db.recipe import Step
from workers import profiles
from workers.frames import Clip, Reel
from workers.ops import planes


def film(count: int, height: int = 64, width: int = 96, channels: int = 1, pan_px: float = 1.5) -> torch.Tensor:
    """A clean pan over a textured scene, ``(count, channels, height, width)`` of 0.1..0.9."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    pictures = []
    for number in range(count):
        x = columns + pan_px * number
        waves = [
            np.sin(x / (5 + 2 * channel)) * np.cos(rows / 6) + 0.6 * np.sin((x + rows) / 11)
            for channel in range(channels)
        ]
        block = (((x // 16) + (rows // 12)) % 2) * 0.5
        pictures.append([0.45 + 0.16 * wave + 0.2 * block for wave in waves])
    return torch.from_numpy(np.array(pictures, np.float32)).clamp(0.1, 0.9)


def with_grain(frames: torch.Tensor, sigma: float, seed: int = 0) -> torch.Tensor:
    """White noise of ``sigma`` on every sample; nothing is clipped."""
    noise = np.random.default_rng(seed).standard_normal(tuple(frames.shape)).astype(np.float32)
    return frames + sigma * torch.from_numpy(noise)


def with_flicker(frames: torch.Tensor, amount: float = 0.08, seed: int = 0) -> torch.Tensor:
    """A gain and a gamma of their own for every frame."""
    rng = np.random.default_rng(seed)
    gain, gamma = (torch.tensor(np.exp(amount * rng.standard_normal(len(frames))), dtype=torch.float32) for _ in "gy")
    return (frames.clamp(0, 1) ** gamma.view(-1, 1, 1, 1) * gain.view(-1, 1, 1, 1)).clamp(0, 1)


def faded(frames: torch.Tensor, last: float = 0.4) -> torch.Tensor:
    """A slow fade down to the share ``last`` of the light."""
    return frames * torch.linspace(1, last, len(frames)).view(-1, 1, 1, 1)


def clip(frames: torch.Tensor, start: int = 0) -> Clip:
    """Frames of a reel from ``start`` on, each showing itself."""
    return Clip(frames, start, tuple(range(start, start + len(frames))))


def reel(
    frames: torch.Tensor,
    shots: tuple[tuple[int, int], ...] | None = None,
    kinds: Collection[str] = profiles.ORDER,
) -> Reel:
    """The reel of all ``frames``, with the profile that inspecting it for ``kinds`` gives."""
    profile = profiles.profile_of(kinds, [planes.from_frame(frame) for frame in frames])
    if shots is not None:
        profile["cut"] = np.isin(np.arange(len(frames)), [first for first, _ in shots])
    return Reel(len(frames), Fraction(18), profiles.shots(profile), profile, frames.shape[1] == 1)


def step(stage: str, **params: object) -> Step:
    """A step with its defaults written out, as a recipe would hold it."""
    return Step(stage=stage, params=STAGES[stage].params(**params).model_dump(mode="json"))


def psnr_db(one: torch.Tensor, other: torch.Tensor) -> float:
    """Peak signal to noise ratio at full scale 1."""
    return float(-10 * torch.log10(((one.double() - other.double()) ** 2).mean()))
