"""Restoring a reel: throughput of the whole house beside its bound, and beside a plain script that does the same.

The bound is the larger of the slowest of decode, compute and encode alone, and their CPU seconds divided by the cores.
All of it is measured here, in one run, alternating, because the machine may be noisy. Codecs have one thread, and
a part is measured on all cores at once, as the house runs on all of them.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.house import FRAMES, SIZE, open_installation
from benchmarks.rows import ResultRow, at_least, at_most
from db.recipe import parse

SEGMENT = 64
# Decode, compute and encode cost about the same here, so that none of the three hides the others.
RECIPE = "recipe: [deflicker]\noutputs: [master]"
ALONE = ("decode", "compute", "encode")
ROUNDS = 3
"""Runs of the house and of the script, in turn; medians are compared."""


def run(folder: Path) -> list[ResultRow]:
    film = folder / "film.mkv"
    make_film(film)
    cores = len(os.sched_getaffinity(0))
    many, one, alone, script = [], [], [], []
    for number in range(ROUNDS):
        many.append(restore_film(folder / f"many{number}", film, cores))
        alone.append(side_by_side(ALONE, film, cores))
        one.append(restore_film(folder / f"one{number}", film, 1))
        script.append(in_process(["script"], film)["script"]["wall"])
    parts = {part: statistics.median(seconds[part] for seconds in alone) for part in alone[0]}
    bound = max(*parts.values(), sum(parts.values()) / cores) if cores > 1 else sum(parts.values())
    detail = ", ".join(f"{part} {value / FRAMES * 1000:.1f}" for part, value in parts.items())
    return [
        at_least(
            f"restore throughput ÷ bound, {cores} workers", bound / median(many, "wall"), 0.95, "",
            f"CPU ms a frame: {detail}; {cores} cores",
        ),
        at_least("one worker against a plain sequential script", statistics.median(script) / median(one, "wall"), 1.3),
        at_most("orchestration in a 100 ms frame", 100 * median(many, "queue_seconds_a_frame") / 0.1, 2, " %"),
    ]  # fmt: skip


def median(entries: list[dict[str, float]], name: str) -> float:
    return statistics.median(entry[name] for entry in entries)


def restore_film(home: Path, film: Path, workers: int) -> dict[str, float]:
    """Restore the film; seconds from the first segment's lease to the last one's end."""
    with open_installation(
        home, slots=workers, codec_threads=1, segment_frames=SEGMENT, batch_frames=8
    ) as installation:
        installation.run(installation.submit([film], parse(RECIPE, "bench")))
        attempts = installation.attempts("restore")
        wall = max(row.ended_at for row in attempts) - min(row.started_at for row in attempts)
        busy = sum(row.ended_at - row.started_at for row in attempts)
        return {"wall": wall, "queue_seconds_a_frame": max(0.0, workers * wall - busy) / FRAMES}


def make_film(path: Path) -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24), options={"level": "3", "g": "1"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "gray"
        for number in range(FRAMES):
            wave = 120 + 70 * np.sin((columns + 3 * number) / 40) * np.cos(rows / 30)
            picture = np.clip(wave + rng.normal(0, 4, SIZE), 0, 255).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def in_process(parts: Sequence[str], film: Path) -> dict[str, dict[str, float]]:
    """Measure parts, one after the other, in a process of its own: wall and CPU seconds without start-up."""
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.restore", str(film), *parts]
    process = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    figures: dict[str, dict[str, float]] = json.loads(process.stdout.splitlines()[-1])
    return figures


def side_by_side(parts: Sequence[str], film: Path, count: int) -> dict[str, float]:
    """CPU seconds of each part for the whole film while every core does the same.

    The house keeps all cores busy; on a quiet machine a core is faster than it can then be.
    """
    with ThreadPoolExecutor(count) as pool:
        figures = list(pool.map(in_process, [parts] * count, [film] * count))
    return {part: statistics.mean(each[part]["cpu"] for each in figures) for part in parts}


def measure(part: str, film: Path) -> dict[str, float]:
    from benchmarks.parts import PARTS

    work = PARTS[part](film, parse(RECIPE, "bench"))
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu}


if __name__ == "__main__":
    print(json.dumps({part: measure(part, Path(sys.argv[1])) for part in sys.argv[2:]}))
