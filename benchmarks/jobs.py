"""A whole job as its user waits for it: one reel from submission to master, access copy and scores.

Tasks that only one worker can do at a time (probe, merge, assemble) are serial: by Amdahl's law their share of all task
seconds says how much faster many workers make one reel. Beside it a plain script makes the same two films of the same
source with the same libraries, and checks, scores and remembers nothing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import ThreadType

from benchmarks.house import open_installation
from benchmarks.rows import ResultRow, at_least, at_most
from db.recipe import parse
from db.states import TaskKind
from workers.media.film.access_copy import PRESET, QUALITY_CRF

SERIAL = ("probe", "merge", "assemble")
MANY_WORKERS = 16
RECIPES = {"[]": "recipe: []", "[deflicker]": "recipe: [deflicker]"}


@dataclass(frozen=True)
class Film:
    """A film to restore."""

    name: str
    size: tuple[int, int]
    """Height and width."""
    pixel_format: str
    codec: str
    frames: int


FILMS = (
    Film("grey 640×480", (480, 640), "gray", "ffv1", 512),
    Film("HD 1440×1080 4:2:0", (1080, 1440), "yuv420p", "libx264", 256),
)


def run(folder: Path) -> list[ResultRow]:
    """Measure every film with every recipe; ``REELWRIGHT_BENCH_SHORT=1`` takes the small film alone."""
    films = FILMS[:1] if os.environ.get("REELWRIGHT_BENCH_SHORT") else FILMS
    return [row for film in films for row in measure_film(folder, film)]


def measure_film(folder: Path, film: Film) -> list[ResultRow]:
    path = folder / f"{film.codec}.mkv"
    make_film(path, film)
    script_seconds = time_script(path, folder, film)
    rows = []
    for name, recipe in RECIPES.items():
        home = folder / f"{film.codec}-{len(name)}"
        _, one, kinds = run_job(home / "one", path, recipe, 1)
        waited, two, _ = run_job(home / "two", path, recipe, 2)
        total = sum(kinds.values())
        serial = sum(kinds.get(kind, 0.0) for kind in SERIAL)
        detail = ", ".join(f"{kind} {1000 * seconds / film.frames:.1f}" for kind, seconds in kinds.items())
        what = f"{film.name}, {name}"
        rows += [
            at_most(f"{what}: serial share of task time", 100 * serial / total, 6, " %", f"ms a frame: {detail}"),
            at_least(f"{what}: one worker ÷ two, first lease to last end", one / two, 1.85),
            at_least(
                f"{what}: {MANY_WORKERS} workers by Amdahl", total / (serial + (total - serial) / MANY_WORKERS), 10
            ),
            at_most(f"{what}: two workers, from submission ÷ a script with two threads", waited / script_seconds, 1.35),
        ]
    return rows


def run_job(home: Path, film: Path, recipe: str, workers: int) -> tuple[float, float, dict[str, float]]:
    """Return the seconds from submission to the end, from the first lease to the last end, and of the tasks by kind."""
    with open_installation(home, slots=workers, codec_threads=1) as installation:
        started = time.perf_counter()
        installation.run(installation.submit([film], parse(recipe, "bench")))
        wall = time.perf_counter() - started
        attempts = {kind.value: installation.attempts(kind) for kind in TaskKind}
    times = [(row.started_at, row.ended_at) for rows in attempts.values() for row in rows]
    kinds = {kind: sum(row.ended_at - row.started_at for row in rows) for kind, rows in attempts.items() if rows}
    return wall, max(end for _, end in times) - min(start for start, _ in times), kinds


def make_film(path: Path, film: Film) -> None:
    """Write a film of drifting waves with grain, flicker and, where it has colour, some."""
    rng, (height, width) = np.random.default_rng(1), film.size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    grain = [rng.normal(0, 3, film.size).astype(np.float32) for _ in range(7)]
    with av.open(str(path), "w") as out:
        options = {"level": "3", "g": "1"} if film.codec == "ffv1" else {"crf": "16", "preset": "veryfast", "g": "24"}
        stream = out.add_stream(film.codec, rate=Fraction(24), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, film.pixel_format
        for number in range(film.frames):
            wave = 120 + 60 * np.sin((columns + 3 * number) / 40) * np.cos(rows / 30) + 4 * np.sin(number * 2.1)
            luma = np.clip(wave + grain[number % 7], 16, 235).astype(np.uint8)
            if film.pixel_format == "gray":
                frame = av.VideoFrame.from_ndarray(luma, format="gray")
            else:
                chroma = np.full((height // 2, width), 128, np.uint8) + (luma[::2] // 16)
                frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def time_script(path: Path, folder: Path, film: Film) -> float:
    """Return the seconds that decoding once and encoding both films takes, each codec with two threads."""
    started = time.perf_counter()
    with (
        av.open(str(path)) as source,
        av.open(str(folder / "script.mkv"), "w") as master,
        av.open(str(folder / "script.mp4"), "w") as access,
    ):
        source.streams.video[0].thread_count = 2
        coded = master.add_stream("ffv1", rate=Fraction(24), options={"level": "3", "slicecrc": "1", "slices": "16"})
        shown = access.add_stream("libx264", rate=Fraction(24), options={"crf": str(QUALITY_CRF), "preset": PRESET})
        for stream, pixel_format in ((coded, film.pixel_format), (shown, "yuv420p")):
            stream.height, stream.width, stream.pix_fmt = *film.size, pixel_format
            stream.codec_context.thread_count = 2
        coded.codec_context.gop_size, coded.codec_context.thread_type = 1, ThreadType.SLICE
        for frame in source.decode(video=0):
            frame.pict_type = av.video.frame.PictureType.NONE
            master.mux(coded.encode(frame))
            access.mux(shown.encode(frame.reformat(format="yuv420p")))
        master.mux(coded.encode(None))
        access.mux(shown.encode(None))
    return time.perf_counter() - started
