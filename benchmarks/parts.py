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

from benchmarks.house import FRAMES, SIZE
from db.recipe import Recipe
from db.records import Blob, ReelFacts
from workers import device, profiles, stages
from workers.frames import Clip, Reel
from workers.media import planes
from workers.media.film import ffv1
from workers.media.pixels import Layout, to_picture, to_planes
from workers.ops import planes as pixel_planes
from workers.tasks import scoring, step_changes

CELL = 8
HALF_CODE = 0.5 / 255
LAYOUT = Layout("gray", 8)
FACTS = ReelFacts(
    frame_count=FRAMES, rate="24", width=SIZE[1], height=SIZE[0], depth_bits=8, pixel_format="gray", mono=True,
    bytes=1, sha256="0", index=Blob(key="none", sha256="0", bytes=0),
)  # fmt: skip


def pictures(film: Path) -> Iterator[np.ndarray]:
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            yield to_picture(planes.to_planes(frame, LAYOUT), LAYOUT)


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
    return Reel(FRAMES, Fraction(24), profiles.shots(profile), profile, mono_source=True)


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
def open_writer() -> Iterator[ffv1.Write]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        with ffv1.open_writer(path, LAYOUT, SIZE, Fraction(24), FACTS) as write:
            yield write


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
        with open_writer() as write:
            for picture in every:
                write(to_planes(picture, LAYOUT))

    return work


def sequential_script(film: Path, recipe: Recipe) -> Callable[[], None]:
    device.make_deterministic("cpu")
    around = film_context(film)

    def work() -> None:
        with open_writer() as write:
            for cell in cells(film):
                for frame in compute(cell, recipe, around).frames:
                    write(to_planes(frame.numpy(), LAYOUT))

    return work


PARTS = {"decode": decode_alone, "compute": compute_alone, "encode": encode_alone, "script": sequential_script}
