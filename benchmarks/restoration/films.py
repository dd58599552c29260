"""Films as arrays, and stages run over them as a job runs them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages import STAGES
from db.recipe import Recipe, Step, parse
from workers import profiles, stages
from workers.frames import Clip, Reel
from workers.media import planes
from workers.media.film import scan as film_scan
from workers.media.pixels import to_picture
from workers.ops import planes as pixel_planes

Pictures = NDArray[np.float32]
"""``(T, C, H, W)``, 0..1."""
Masks = NDArray[np.bool_]
"""``(T, H, W)``."""


def read_film(path: Path, start: int = 0, stop: int | None = None) -> Pictures:
    """Return the frames ``[start, stop)`` of a film, at its own depth, as pictures."""
    out = []
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        for number, frame in enumerate(film.decode(stream)):
            if stop is not None and number >= stop:
                break
            if number >= start:
                layout = film_scan.layout_of(frame, stream.codec_context.name, str(path))
                out.append(to_picture(planes.to_planes(frame, layout), layout))
    return np.stack(out)


def read_folder(folder: Path) -> Pictures:
    """Return the pictures of a folder, in the order of their names, as grey where all channels are equal."""
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1] for path in sorted(folder.glob("*.[pj][np]g"))]
    stacked = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
    return stacked[:, :1] if (stacked[:, :1] == stacked).all() else stacked


def luma(frames: Pictures) -> Pictures:
    """Return luma ``(T, 1, H, W)``."""
    return np.stack([pixel_planes.luma(frame)[None] for frame in frames])


class Run:
    """A recipe run over a whole film that is in memory, step by step."""

    def __init__(self, frames: Pictures, text: str, shots: tuple[tuple[int, int], ...] | None = None) -> None:
        """Take the film ``(T, C, H, W)`` and a recipe in YAML; shots are found unless given."""
        self.recipe: Recipe = parse(text, "measured")
        self.masks: dict[str, Masks] = {}
        """Of the steps that repair, by stage."""
        self.after: dict[str, Pictures] = {}
        """What each step made, by stage."""
        self.reel = reel_of(frames, self.recipe, shots)
        clip = Clip(torch.from_numpy(frames), 0, tuple(range(len(frames))))
        for step in self.recipe.steps:
            clip = self._apply(step, clip)
        self.frames: Pictures = clip.frames.numpy()

    def _apply(self, step: Step, clip: Clip) -> Clip:
        results = [stages.repair(step, clip, start, min(start + 8, clip.stop), self.reel)
                   for start in range(0, clip.stop, 8)]  # fmt: skip
        made = torch.cat([frames for frames, _ in results])
        self.after[step.stage] = made.numpy()
        if STAGES[step.stage].repairs:
            parts = [torch.zeros_like(frames[:, :1], dtype=torch.bool) if mask is None else mask
                     for frames, mask in results]  # fmt: skip
            self.masks[step.stage] = torch.cat(parts)[:, 0].numpy()
        return clip.with_frames(made)


def reel_of(frames: Pictures, recipe: Recipe, shots: tuple[tuple[int, int], ...] | None) -> Reel:
    """Return what stages may know of a film that is in memory, profile and all."""
    needs = recipe.reel_needs
    profile = profiles.profile_of(needs, list(frames)) if needs else {}
    if profile and shots is not None:
        profile["cut"] = np.isin(np.arange(len(frames)), [first for first, _ in shots])
    found = profiles.shots(profile) if profile else shots or ((0, len(frames)),)
    return Reel(len(frames), Fraction(24), found, profile, mono_source=frames.shape[1] == 1)


def shots_of(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the shots of films put one behind the other."""
    return tuple(pairwise(np.concatenate([[0], np.cumsum(lengths)]).tolist()))
