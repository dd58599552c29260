"""The parts of restoring a reel, each alone, and all of them in a plain script: one process, one thread, no queue."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.house import FACTS
from benchmarks.peer import layout_of
from db.recipe import Recipe
from workers import device, profiles, stages
from workers.frames import Clip, Reel
from workers.media import planes
from workers.media.film import ffv1
from workers.media.pixels import to_picture, to_planes
from workers.ops import planes as pixel_planes
from workers.tasks import scoring, step_changes

CELL = 8
HALF_CODE = 0.5 / 255


def pictures(film: Path) -> Iterator[np.ndarray]:
    layout, _ = layout_of(film)
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            yield to_picture(planes.to_planes(frame, layout), layout)


def cells(film: Path) -> Iterator[Clip]:
    frames = []
    for number, picture in enumerate(pictures(film)):
        frames.append(picture)
        if len(frames) == CELL:
            start = number + 1 - CELL
            yield Clip(torch.from_numpy(np.stack(frames)), start, tuple(range(start, number + 1)))
            frames.clear()


def film_context(film: Path) -> Reel:
    """What ``inspect`` and ``merge`` find out: without it a stage that evens out a reel has nothing to do."""
    frames = [pixel_planes.from_frame(frame) for cell in cells(film) for frame in cell.frames]
    profile = profiles.profile_of(("exposure", "cuts"), frames)
    return Reel(len(frames), Fraction(24), profiles.shots(profile), profile, mono_source=len(frames[0]) == 1)


def compute(cell: Clip, recipe: Recipe, around: Reel) -> Clip:
    """Restore a cell, and measure all that is measured while frames stream."""
    clip = cell
    for step in recipe.steps:
        output = Clip(stages.apply(step, clip, cell.start, cell.stop, around), cell.start, cell.sources)
        step_changes.measure(clip.frames, output.frames, HALF_CODE)
        clip = output
    scoring.score(clip, cell)
    return clip


@contextmanager
def open_writer(film: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a master of pictures that are like the film's."""
    layout, size = layout_of(film)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        with ffv1.open_writer(path, layout, size, Fraction(24), FACTS) as write:
            yield lambda picture: write(to_planes(picture, layout))


def decode_alone(film: Path, recipe: Recipe) -> Callable[[], None]:
    def work() -> None:
        for _ in pictures(film):
            pass

    return work


def compute_alone(film: Path, recipe: Recipe) -> Callable[[], None]:
    device.make_deterministic("cpu")
    # The whole film, as the house sees it: one cell again and again would never leave the processor's cache.
    every, around = list(cells(film)), film_context(film)
    compute(every[0], recipe, around)

    def work() -> None:
        for cell in every:
            compute(cell, recipe, around)

    return work


def encode_alone(film: Path, recipe: Recipe) -> Callable[[], None]:
    every = list(pictures(film))

    def work() -> None:
        with open_writer(film) as write:
            for picture in every:
                write(picture)

    return work


def sequential_script(film: Path, recipe: Recipe) -> Callable[[], None]:
    device.make_deterministic("cpu")
    around = film_context(film)

    def work() -> None:
        with open_writer(film) as write:
            for cell in cells(film):
                for frame in compute(cell, recipe, around).frames:
                    write(frame.numpy())

    return work


PARTS = {"decode": decode_alone, "compute": compute_alone, "encode": encode_alone, "script": sequential_script}
