"""A whole job as its user waits for it: one reel from submission to master, access copy and scores.

Tasks that only one worker can do at a time (probe, merge, assemble) are serial: by Amdahl's law their share of all task
seconds says how much faster many workers make one reel. Beside it the same two films are made of the same source by
``ffmpeg``, where it is installed, else by a plain script with the same libraries; either checks, scores and remembers
nothing. How near all this can come to its bars is measured in the same run: what two cores are to one on this machine,
and what the codecs cost that a job must run.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks import restore
from benchmarks.feed import House
from benchmarks.films import GREY, HD, Film, make_film
from benchmarks.house import open_installation
from benchmarks.peer import SCRIPT, CodecCosts, run_codecs, time_peer
from benchmarks.rows import ResultRow, at_least, at_most, told
from db.recipe import Recipe, parse, resolve
from db.states import TaskKind
from workers.tasks import probe

SERIAL = ("probe", "merge", "assemble")
MANY_WORKERS = 16
RECIPES = {"[]": "recipe: []", "[deflicker]": "recipe: [deflicker]"}
LIBRARIES = "torch, cv2, av, sqlalchemy.orm, pydantic_settings, celery.apps.worker, PIL.Image"
BOUND_RECIPE = "[deflicker]"
"""Its compute alone is measured, by ``restore``."""
WORKERS = 2
FEW_HD = replace(HD, name="HD 1440×1080 4:2:0 of 24 frames", frames=24)
WHOLE_RECIPES = ("conservation", "silent-film")
"""Their stages take so long that what is serial hardly counts; few frames of HD say by how much."""


@dataclass(frozen=True)
class JobTimes:
    """What one job took, in seconds."""

    wall: float
    """From submission to the end."""
    span: float
    """From the first lease to the last end."""
    kinds: dict[str, float]
    """Of all tasks of a kind together."""
    cpu: float
    """CPU seconds of the worker processes, from their start."""

    @property
    def total(self) -> float:
        return sum(self.kinds.values())

    @property
    def serial(self) -> float:
        return sum(self.kinds.get(kind, 0.0) for kind in SERIAL)

    def serial_row(self, what: str, frames: int, row: Callable[..., ResultRow]) -> ResultRow:
        each = ", ".join(f"{kind} {1000 * seconds / frames:.1f}" for kind, seconds in self.kinds.items())
        return row(f"{what}: serial share of task time", 100 * self.serial / self.total, detail=f"ms a frame: {each}")


@dataclass(frozen=True)
class FilmJobs:
    """The same job over one film with more and fewer workers and cores."""

    single: JobTimes
    """Of one worker confined to one core, where the system can."""
    one: JobTimes | None
    """Of one worker on two cores; not in the short form, since serial shares are those of the confined one."""
    two: JobTimes
    """Of two workers on two cores."""


def run(folder: Path) -> list[ResultRow]:
    return [
        *measure_film(folder, GREY, RECIPES),
        *measure_film(folder, HD, RECIPES),
        *measure_whole_recipes(folder, FEW_HD),
        measure_start(folder),
        measure_photo(folder),
    ]


def run_short(folder: Path) -> list[ResultRow]:
    """Measure a sixth of the small film with the recipe that needs a profile, so that every kind of task is there."""
    film, recipes = replace(GREY, frames=GREY.frames // 6), {BOUND_RECIPE: RECIPES[BOUND_RECIPE]}
    return [*measure_film(folder, film, recipes, short=True), measure_start(folder, rounds=2)]


def measure_film(folder: Path, film: Film, recipes: Mapping[str, str], *, short: bool = False) -> list[ResultRow]:
    """Measure whole jobs and all that bounds them, on two cores of however many there are.

    The codecs alone are measured before the jobs and, but in the short form, after them.
    """
    with confined(WORKERS):
        path = make_film(folder, film)
        peer, peer_seconds = time_peer(path, folder)
        codecs, loading = [measure_codecs(path, folder, film)], time_loading()
        jobs = {name: run_jobs(folder, path, parse(text, "bench"), short=short) for name, text in recipes.items()}
        codecs += [] if short else [measure_codecs(path, folder, film)]
        alone, beside = zip(*codecs, strict=True)
        cpu_ms = alone[0].cpu_ms
        scaling = WORKERS * min(costs.wall for costs in alone) / min(costs.wall for costs in beside)
        rows = [told(f"{film.name}: two processes that decode and encode ÷ one", scaling)]
        for name, times in jobs.items():
            what, wall = f"{film.name}, {name}", times.two.wall
            rows += [*scaling_rows(what, film, times), core_row(what, times, scaling)]
            rows.append(
                at_most(f"{what}: two workers, from submission ÷ {peer} with two threads", wall / peer_seconds, 1.35)
            )
            rows += floor_rows(what, film.frames, times.single, cpu_ms, loading)
            if name == BOUND_RECIPE:
                rows.append(measure_bound(what, folder, film, times.two, cpu_ms))
    return rows


def measure_codecs(path: Path, folder: Path, film: Film) -> tuple[CodecCosts, CodecCosts]:
    """Return what codecs cost in one process, those of the house too, and the script's in two side by side."""
    one = run_codecs(path, folder, film.frames // 4, 1, wants_house=True)
    return one, run_codecs(path, folder, film.frames // 4, WORKERS)


def run_jobs(folder: Path, film: Path, recipe: Recipe, *, short: bool) -> FilmJobs:
    home = folder / f"{film.stem}-{recipe.fingerprint()[:8]}"
    probed = time_probe(home / "probe", film, recipe)

    def run(slots: int, name: str) -> JobTimes:
        job = run_job(home / name, film, recipe, slots)
        return replace(job, kinds=job.kinds | {"probe": probed})

    with confined(1):
        single = run(1, "single")
    return FilmJobs(single, None if short else run(1, "one"), run(WORKERS, "two"))


def time_probe(home: Path, film: Path, recipe: Recipe) -> float:
    """Return the seconds of a probe by itself.

    A worker's first one runs beside the loading of its libraries, which takes two seconds of however long a reel.
    """
    house = House(home, film, recipe, 1)
    started = time.perf_counter()
    house.perform(TaskKind.PROBE, probe.probe)
    return time.perf_counter() - started


def scaling_rows(what: str, film: Film, jobs: FilmJobs) -> list[ResultRow]:
    """Return what more workers come to; of few frames a probe's half second is too much of a job to tell of many."""
    one, alone = jobs.one, jobs.one or jobs.single
    many = alone.total / (alone.serial + (alone.total - alone.serial) / MANY_WORKERS)
    what_two, is_whole = f"{what}: one worker ÷ two, first lease to last end", film in (GREY, HD)
    return [
        alone.serial_row(
            what, film.frames, partial(at_most, bar=6, unit=" %") if is_whole else partial(told, unit=" %")
        ),
        *([at_least(what_two, one.span / jobs.two.span, 1.85)] if one else []),
        *([at_least(f"{what}: {MANY_WORKERS} workers by Amdahl", many, 10)] if is_whole else []),
    ]


def core_row(what: str, jobs: FilmJobs, scaling: float) -> ResultRow:
    """Return what two cores come to: one worker's own threads keep more than one core busy, where there is one more."""
    what = f"{what}: one worker on one core ÷ two on two, first lease to last end"
    if len(cores()) < WORKERS:
        return ResultRow(what, "not measured: it needs Linux and two cores", "–", True)
    ratio = jobs.single.span / jobs.two.span
    detail = f"{100 * ratio / scaling:.0f} % of two processes that decode and encode ÷ one"
    return at_least(what, ratio, 1.85, detail=detail)


def floor_rows(
    what: str, frames: int, single: JobTimes, cpu_ms: Mapping[str, float], loading: float
) -> list[ResultRow]:
    """Return what the codecs that a job must run cost beside those of the script, and all that its worker does.

    All of it is of one core while the other one rests; the worker's ``loading`` of libraries, in CPU seconds, is left
    out.
    """
    ours = {codec: cpu_ms[codec] for codec in ("decode", "master", "access")} | promised_decodes(single, cpu_ms)
    theirs = {codec: cpu_ms[codec] for codec in SCRIPT}
    floor, house = sum(ours.values()), 1000 * (single.cpu - loading) / frames
    detail = f"CPU ms a frame: {listed(ours)}; the script: {listed(theirs)}"
    told_house = f"CPU ms a frame: {house:.1f} beside {floor:.1f}; {loading:.1f} s for loading libraries not counted"
    return [
        told(f"{what}: codecs that a job must run ÷ those of a script", floor / sum(theirs.values()), "", detail),
        told(f"{what}: all that a worker does ÷ codecs that a job must run", house / floor, "", told_house),
    ]


def promised_decodes(job: JobTimes, cpu_ms: Mapping[str, float]) -> dict[str, float]:
    """Return CPU ms a frame of what a job decodes beyond its source for restoring."""
    survey = {"survey": cpu_ms["decode"]} if TaskKind.INSPECT in job.kinds else {}
    return survey | {"read back": cpu_ms["read back"]}


def measure_bound(what: str, folder: Path, film: Film, job: JobTimes, cpu_ms: Mapping[str, float]) -> ResultRow:
    """Measure one decode, compute and one encode of either film beside a whole job on as many cores."""
    few = replace(film, frames=film.frames // 8)  # of all its pictures in memory, several times over
    seconds = restore.side_by_side(restore.ALONE, make_film(folder, few), WORKERS)
    parts = {part: 1000 * value / few.frames for part, value in seconds.items()} | {"access": cpu_ms["access"]}
    every, job_ms = sum(parts.values()), 1000 * job.span / film.frames
    most = every / (every + sum(promised_decodes(job, cpu_ms).values()))
    return at_least(
        f"{what}: bound of one decode, compute, one encode of each output ÷ two workers, first lease to last end",
        every / WORKERS / job_ms, 0.85,
        detail=f"CPU ms a frame: {listed(parts)}; the job {job_ms:.1f} ms on two cores; what it decodes besides leaves "
        f"{most:.2f} at most",
    )  # fmt: skip


def listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in values.items())


def cores() -> set[int]:
    """Return the cores that may be used, as far as the system can tell and confine; none where it cannot."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@contextmanager
def confined(count: int) -> Iterator[None]:
    """Confine this thread, and every process that it starts, to so many cores, where the system can."""
    every = cores()
    if every:
        os.sched_setaffinity(0, sorted(every)[:count])
    try:
        yield
    finally:
        if every:
            os.sched_setaffinity(0, every)


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


def time_loading() -> float:
    """Return the CPU seconds that a process on one core takes to load our libraries."""
    before = children_cpu()
    with confined(1):
        _time_command([sys.executable, "-c", f"import {LIBRARIES}"])
    return children_cpu() - before


def children_cpu() -> float:
    """Return the CPU seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _time_command(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def run_job(home: Path, film: Path, recipe: Recipe, workers: int) -> JobTimes:
    with open_installation(home, slots=workers, codec_threads=1) as installation:
        before, started = children_cpu(), time.perf_counter()
        installation.run(installation.submit([film], recipe))
        wall, cpu = time.perf_counter() - started, children_cpu() - before
        attempts = {kind.value: installation.attempts(kind) for kind in TaskKind}
    times = [(row.started_at, row.ended_at) for rows in attempts.values() for row in rows]
    kinds = {kind: sum(row.ended_at - row.started_at for row in rows) for kind, rows in attempts.items() if rows}
    return JobTimes(wall, max(end for _, end in times) - min(start for start, _ in times), kinds, cpu)
