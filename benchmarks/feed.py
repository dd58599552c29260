"""Feeding a device: one process restores reels with a stand-in for a GPU that is never behind.

The stand-in has room for a corner of each frame, so that an operation on it costs what asking a GPU for it costs, and
no more. The house does all that it does for a GPU, from samples that cross to samples that come back, and a stage only
waits. What limits it then is the work of the cores around the device. The bound is measured beside it in the same run,
in turn: CPU seconds of decoding and encoding alone divided by the cores, which no program can beat. What the bus
between takes is not in it, but for the copies in main memory.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.films import GREY, HD, Film, make_film
from benchmarks.rows import ResultRow, at_least, told
from db.catalog.stages import STAGES, StageParams, StageSpec
from db.recipe import Recipe, parse
from db.records import Assignment, Blob, ItemView, Part, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind, TaskKind
from db.store import open_store
from orchestrator.processes.shares import worker_memory_mb
from workers import device, malloc
from workers.frames import Clip
from workers.media import device_pixels, planes, reel
from workers.media.device_pixels import Samples
from workers.media.film import container, ffv1
from workers.media.reel import StoredFrame
from workers.tasks import frame_ends, inspect, merge, probe, step_changes
from workers.tasks.frame_ends import DeviceEnds, FinishedFrame, SourceCell
from workers.tasks.restore import restore_segment
from workers.workbench import Workbench

FILMS = (replace(GREY, frames=256), replace(HD, frames=48))
RECIPE = "recipe: [simulated_device]\noutputs: [master]"
CELL_FRAMES = 8
CELL_SECONDS = 0.002
"""How long the device takes for a cell."""
SHIFT = 1 / 128
CORNER = 15
"""What part of a frame's width and height the stand-in has room for."""
ROUNDS = 16
"""Of the house and of its bound. One alone may be a tenth off: short ones in turn tell more than long ones."""
MANY_CORES, WIDE_ROUNDS = 16, 3


def run(folder: Path) -> list[ResultRow]:
    cores = len(os.sched_getaffinity(0))
    return [row for film in FILMS for row in measure_film(make_film(folder, film), film, cores)]


def measure_film(path: Path, film: Film, cores: int) -> list[ResultRow]:
    sums, each = in_process("in_turn", path, cores), 1000 / film.frames / ROUNDS
    wide = [in_process("busiest", path, MANY_CORES)["busiest"] for _ in range(WIDE_ROUNDS)]
    bound, wall = sums["codecs"] / cores, sums["wall"]
    cpu = f"CPU ms a frame: codecs {each * sums['codecs']:.1f}, all {each * sums['cpu']:.1f}"
    detail = f"{film.frames * ROUNDS / wall:.0f} frames/s; {cpu}"
    what = f"feed, {film.name}: one process with a simulated device"
    return [
        at_least(f"{what} ÷ codec bound", bound / wall, 0.85, "", detail),
        told(
            f"{what}, busiest of the threads for {MANY_CORES} cores",
            1000 / film.frames * statistics.median(wide),
            " ms",
        ),
    ]


def in_process(part: str, film: Path, threads: int) -> dict[str, float]:
    """Measure one part in a process of its own, without start-up."""
    command = [sys.executable, "-m", "benchmarks.feed", part, str(film), str(threads)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures


# -- in a process of its own


class WaitParams(StageParams):
    """None of its own."""


def restore(window: Clip, start: int, stop: int, params: WaitParams, reel: Any) -> torch.Tensor:
    """Be the stage that stands for a device: frames come back changed, a wait later, and nobody's lock was held."""
    time.sleep(CELL_SECONDS)
    return window.part(start, stop).frames + SHIFT


class SimulatedEnds(DeviceEnds):
    """Ends on the stand-in: what comes back of it are copies of the samples that went there."""

    def _cell(self, stored: list[StoredFrame]) -> SourceCell:
        samples = device_pixels.upload([frame.samples for frame in stored if frame.samples is not None], self.device)
        frames = device_pixels.to_picture(tuple(map(corner, samples)), self.source.layout)
        return SourceCell(frames, tuple(frame.source for frame in stored), partial(self._finish, frames, samples))

    def _finish_frames(self, before: torch.Tensor, own: Samples, frames: torch.Tensor) -> list[FinishedFrame]:
        finished = super()._finish_frames(before, tuple(map(corner, own)), frames)
        copies = zip(*(device.download(plane.clone()).view(self.layout.dtype) for plane in own), strict=True)
        return [entry._replace(samples=samples) for entry, samples in zip(finished, copies, strict=True)]


def corner(samples: torch.Tensor) -> torch.Tensor:
    """Return the corner of planes ``(T, H, W)`` that the device has room for."""
    height, width = samples.shape[1:]
    return samples[:, : height // CORNER, : width // CORNER].contiguous()


def simulate_device() -> None:
    """Make this process restore as for a GPU, with a stage ``simulated_device`` that waits."""
    spec = StageSpec("simulated_device", "Waits.", WaitParams, order=0, module=__name__)
    STAGES[spec.name] = spec  # type: ignore[index]
    frame_ends.open_ends = SimulatedEnds
    frame_ends._PIXELS_TOGETHER //= CORNER**2
    step_changes._count_frames = step_changes._count_on_device


class House:
    """A store, and a film that was looked through, to be restored without a queue."""

    def __init__(self, home: Path, film: Path, recipe: Recipe, threads: int, device_name: str = "cpu") -> None:
        self.settings = Settings(home=home, codec_threads=threads)
        self._home, self._numbers, self._device = home, count(1), device_name
        source = Source(uri=str(film), kind=ItemKind.REEL)
        self.item = ItemView(
            id=1, external_id="film", source=source, recipe=recipe, generation=0, batch_frames=CELL_FRAMES
        )
        facts = self.perform(TaskKind.PROBE, probe.probe).facts
        assert facts is not None
        self.item = self.item.model_copy(update={"facts": facts})
        if not facts.surveyed:
            result = self.perform(TaskKind.INSPECT, inspect.inspect, 0, facts.frame_count)
            part = Part(start_frame=0, stop_frame=facts.frame_count, outputs=result.outputs)
            facts = self.perform(TaskKind.MERGE, merge.merge, parts=(part,)).facts
            self.item = self.item.model_copy(update={"facts": facts})
        self.frame_count = facts.frame_count if facts else 0

    def bench(self) -> Workbench:
        number = next(self._numbers)
        scratch = self._home / f"scratch-{number}"
        scratch.mkdir(parents=True)
        return Workbench(open_store(self.settings), scratch, self.settings, f"attempt/{number}", device=self._device)

    def perform(
        self, kind: TaskKind, work: Callable[[Assignment, Workbench], Any], start: int = 0, stop: int = 0,
        parts: tuple[Part, ...] = (),
    ) -> TaskResult:  # fmt: skip
        assignment = Assignment(
            task_id=1, attempt=1, kind=kind, job_id=1, item=self.item, start_frame=start, stop_frame=stop, parts=parts,
            key_prefix="bench",
        )  # fmt: skip
        bench = self.bench()
        result: TaskResult = work(assignment, bench)
        shutil.rmtree(bench.scratch)
        return result

    def remove(self, blobs: Iterable[Blob]) -> None:
        """Remove what was stored, before the system begins to write it to the disk."""
        for blob in blobs:
            open_store(self.settings).remove(blob.key)


def restore_all(house: House) -> TaskResult:
    """Restore the whole film as one segment."""
    return house.perform(TaskKind.RESTORE, restore_segment, 0, house.frame_count)


def decode_and_encode(house: House) -> None:
    """Do nothing but decode and encode."""
    bench, facts = house.bench(), house.item.facts
    assert facts is not None
    source, path = reel.open_reel(house.item, bench), bench.scratch / "film.mkv"
    form = reel.layout_of(facts), (facts.height, facts.width), Fraction(24), facts
    with ffv1.open_writer(path, *form) as write, container.open_film(source.path, 1) as (film, stream):
        for frame in container.frames(film, stream, container.refuse_damage):
            write(planes.to_planes(frame, source.layout))
    path.unlink()


@contextmanager
def watch_threads() -> Iterator[dict[str, int]]:
    """Yield CPU nanoseconds by thread, which are right when the block has ended; Linux alone tells them."""
    seconds, stop = dict[str, int](), threading.Event()

    def look() -> None:
        for path in Path("/proc/self/task").glob("*/schedstat"):
            with suppress(OSError):  # it has ended
                seconds[path.parent.name] = int(path.read_text(encoding="ascii").split()[0])

    def watch() -> None:
        while not stop.wait(0.05):
            look()

    look()
    before, watcher = dict(seconds), threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        stop.set()
        watcher.join()
        look()
        seconds.update({name: value - before.get(name, 0) for name, value in seconds.items()})


def time_in_turn(house: House, threads: int) -> dict[str, float]:
    """Sum seconds over rounds: wall and CPU of the house, and CPU that codecs alone take for the film."""
    sums = Counter[str]()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            before = time.process_time()
            list(pool.map(decode_and_encode, [house] * threads))
            between, started = time.process_time(), time.perf_counter()
            result = restore_all(house)
            sums["codecs"] += (between - before) / threads
            sums["wall"] += time.perf_counter() - started
            sums["cpu"] += time.process_time() - between
            house.remove(result.outputs.values())
    return sums


def time_busiest(house: House, threads: int) -> dict[str, float]:
    """Return CPU seconds of the busiest thread of the house."""
    with watch_threads() as busy:
        restore_all(house)
    return {"busiest": max(busy.values()) / 1e9}


PARTS: dict[str, Callable[[House, int], dict[str, float]]] = {"in_turn": time_in_turn, "busiest": time_busiest}


def measure(part: str, film: Path, threads: int) -> dict[str, float]:
    malloc.keep_buffers(worker_memory_mb(Settings()) * 10**6)
    device.make_deterministic("cpu")
    simulate_device()
    with tempfile.TemporaryDirectory() as home:
        house = House(Path(home), film, parse(RECIPE, "feed"), threads)
        restore_all(house)  # once before: memory that the system has never given out costs more than the work
        return PARTS[part](house, threads)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
