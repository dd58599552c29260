"""A whole job as its user waits for it: one reel from submission to master, access copy and scores.

Tasks that only one worker can do at a time (probe, merge, assemble) are serial: by Amdahl's law their share of all task
seconds says how much faster many workers make one reel. Beside it the same two films are made of the same source by
``ffmpeg``, where it is installed, else by a plain script with the same libraries; either checks, scores and remembers
nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.codec.context import ThreadType
from PIL import Image

from benchmarks.house import open_installation
from benchmarks.rows import ResultRow, at_least, at_most, told
from db.recipe import ACCESS_CRF, ACCESS_PRESET, Recipe, parse, resolve
from db.states import TaskKind

SERIAL = ("probe", "merge", "assemble")
MANY_WORKERS = 16
RECIPES = {"[]": "recipe: []", "[deflicker]": "recipe: [deflicker]"}
LIBRARIES = "torch, cv2, av, sqlalchemy.orm, pydantic_settings, celery.apps.worker, PIL.Image"
WHOLE_RECIPES = ("conservation", "silent-film")
"""Their stages take so long that what is serial hardly counts; few frames of HD say by how much."""


@dataclass(frozen=True)
class Film:
    """A film to restore."""

    name: str
    size: tuple[int, int]
    """Height and width."""
    pixel_format: str
    codec: str
    frames: int


GREY = Film("grey 640×480", (480, 640), "gray", "ffv1", 512)
HD = Film("HD 1440×1080 4:2:0", (1080, 1440), "yuv420p", "libx264", 256)
FEW_HD = replace(HD, name="HD 1440×1080 4:2:0 of 24 frames", frames=24)


@dataclass(frozen=True)
class JobTimes:
    """What one job took, in seconds."""

    wall: float
    """From submission to the end."""
    span: float
    """From the first lease to the last end."""
    kinds: dict[str, float]
    """Of all tasks of a kind together."""

    @property
    def total(self) -> float:
        return sum(self.kinds.values())

    @property
    def serial(self) -> float:
        return sum(self.kinds.get(kind, 0.0) for kind in SERIAL)

    def serial_row(self, what: str, frames: int, row: Callable[..., ResultRow]) -> ResultRow:
        each = ", ".join(f"{kind} {1000 * seconds / frames:.1f}" for kind, seconds in self.kinds.items())
        return row(f"{what}: serial share of task time", 100 * self.serial / self.total, detail=f"ms a frame: {each}")


def run(folder: Path) -> list[ResultRow]:
    return [
        *measure_film(folder, GREY, RECIPES),
        *measure_film(folder, HD, RECIPES),
        *measure_whole_recipes(folder, FEW_HD),
        measure_start(folder),
        measure_photo(folder),
    ]


def run_short(folder: Path) -> list[ResultRow]:
    """Measure the small film with the recipe that needs a profile, so that every kind of task is there."""
    return [*measure_film(folder, GREY, {"[deflicker]": RECIPES["[deflicker]"]}), measure_start(folder, rounds=2)]


def measure_film(folder: Path, film: Film, recipes: Mapping[str, str]) -> list[ResultRow]:
    path = make_film(folder, film)
    peer, peer_seconds = time_peer(path, folder, film)
    rows = []
    for name, text in recipes.items():
        home, recipe = folder / f"{path.stem}-{len(name)}", parse(text, "bench")
        one, two = (run_job(home / str(slots), path, recipe, slots) for slots in (1, 2))
        many = one.total / (one.serial + (one.total - one.serial) / MANY_WORKERS)
        what = f"{film.name}, {name}"
        rows += [
            one.serial_row(what, film.frames, partial(at_most, bar=6, unit=" %")),
            at_least(f"{what}: one worker ÷ two, first lease to last end", one.span / two.span, 1.85),
            at_least(f"{what}: {MANY_WORKERS} workers by Amdahl", many, 10),
            at_most(f"{what}: two workers, from submission ÷ {peer} with two threads", two.wall / peer_seconds, 1.35),
        ]
    return rows


def measure_whole_recipes(folder: Path, film: Film) -> list[ResultRow]:
    path = make_film(folder, film)
    return [
        run_job(folder / f"{path.stem}-{name}", path, resolve(name), 1).serial_row(
            f"{film.name}, `{name}`", film.frames, partial(told, unit=" %")
        )
        for name in WHOLE_RECIPES
    ]


def measure_start(folder: Path, rounds: int = 3) -> ResultRow:
    """Measure how long after a command the first worker takes up work; the best of some, as of a warm disk."""
    film, recipe = make_film(folder, replace(GREY, frames=8)), folder / "nothing.yaml"
    recipe.write_text("recipe: []\noutputs: [master]\n")
    seconds = []
    for number in range(rounds):
        home = folder / f"start-{number}"
        command = [sys.executable, "-m", "reelwright", "--home", str(home / "home"), "run", str(film)]
        began = time.time()
        subprocess.run([*command, "--recipe", str(recipe)], check=True, capture_output=True)
        with open_installation(home) as installation:
            seconds.append(installation.attempts("probe")[0].started_at - began)
    return at_most("from a command to the first lease", min(seconds), 2, " s")


def measure_photo(folder: Path) -> ResultRow:
    """Measure a photo from the command to its result beside a process that does nothing but load our libraries.

    The best of three each, in turn. No process of ours can be there sooner than they are, and two have to be.
    """
    photo, seconds, loading = folder / "photo.png", [], []
    Image.effect_noise((1000, 750), 40).save(photo)
    for number in range(3):
        command = [sys.executable, "-m", "reelwright", "--home", str(folder / f"photo-{number}"), "run", str(photo)]
        seconds.append(_time_command(command))
        loading.append(_time_command([sys.executable, "-c", f"import {LIBRARIES}"]))
    detail = f"{min(seconds):.2f} s beside {min(loading):.2f}"
    return told(
        "a photo of 1000×750, from command to result ÷ loading the libraries",
        min(seconds) / min(loading),
        detail=detail,
    )


def _time_command(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def run_job(home: Path, film: Path, recipe: Recipe, workers: int) -> JobTimes:
    with open_installation(home, slots=workers, codec_threads=1) as installation:
        started = time.perf_counter()
        installation.run(installation.submit([film], recipe))
        wall = time.perf_counter() - started
        attempts = {kind.value: installation.attempts(kind) for kind in TaskKind}
    times = [(row.started_at, row.ended_at) for rows in attempts.values() for row in rows]
    kinds = {kind: sum(row.ended_at - row.started_at for row in rows) for kind, rows in attempts.items() if rows}
    return JobTimes(wall, max(end for _, end in times) - min(start for start, _ in times), kinds)


def make_film(folder: Path, film: Film) -> Path:
    """Write a film of drifting waves with grain, flicker and, where it has colour, some."""
    path = folder / f"{film.codec}-{film.frames}.mkv"
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
    return path


def time_peer(path: Path, folder: Path, film: Film) -> tuple[str, float]:
    """Return what makes the same films without us, ``ffmpeg`` or a script, and the seconds that it takes."""
    program = shutil.which("ffmpeg")
    return ("ffmpeg", time_ffmpeg(program, path, folder)) if program else ("a script", time_script(path, folder, film))


def time_ffmpeg(program: str, path: Path, folder: Path) -> float:
    master = ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1", "-slices", "16", "-threads", "2"]
    access = [
        "-c:v",
        "libx264",
        "-crf",
        str(ACCESS_CRF),
        "-preset",
        ACCESS_PRESET,
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "2",
    ]
    command = [program, "-v", "error", "-nostdin", "-y", "-threads", "2", "-i", str(path)]
    command += [*master, str(folder / "ffmpeg.mkv"), *access, str(folder / "ffmpeg.mp4")]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


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
        shown = access.add_stream(
            "libx264", rate=Fraction(24), options={"crf": str(ACCESS_CRF), "preset": ACCESS_PRESET}
        )
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
