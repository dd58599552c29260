"""A GPU: whether networks give the numbers of the CPU there, what they cost, and how fast a reel is restored.

``python -m benchmarks.gpu`` needs one GPU and is meant for ten minutes of an H200 with 16 cores; with ``--device cpu
--short`` all of it is done at toy sizes on any machine, so that it can be tested. Weights are random: what is measured
is time, and that two devices agree. The share of peak is that of a large product of matrices in the same number format,
measured in the same run. The networks of several parts (GCP, ColTran, CT2, InstColorization) and those whose size only
a file says are left out.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.feed import CELL_FRAMES, House, restore_all
from benchmarks.films import Film, make_film
from benchmarks.models import NETWORKS, settle_spectral_norms
from benchmarks.rows import ResultRow, at_most, missed, table
from db.catalog.weights import card
from db.recipe import Pin, PinnedFile, Recipe, parse
from db.settings import Settings
from db.store import open_store
from orchestrator.processes.shares import worker_memory_mb
from workers import device, malloc, models
from workers.background import ALONE
from workers.media import reel
from workers.models.checkpoints import registered
from workers.tasks.frame_ends import CoreEnds, DeviceEnds

MOST_SECONDS = 540.0
"""After so long nothing new is begun."""
SAME = 1e-3
"""How far apart, of the largest number, two devices may be in float32: sums are taken in another order."""
DARKER = 0.75
_LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    parity: tuple[str, ...]
    restorers: tuple[str, ...]
    timed: dict[str, int]
    """Networks, and the side of their pictures."""
    batches: tuple[int, ...]
    rounds: int
    matrix: int
    backend: str
    """Of ``torch.compile``."""
    film: Film
    colored: Film
    colorizer: str
    input_size: int


WHOLE = Sizes(
    tuple(NETWORKS), ("reelwright-denoise", "reelwright-upscale-x2", "dncnn", "dctlsa-x2"),
    {"ddcolor-large": 512, "ddcolor-tiny": 512, "dctlsa-x2": 256}, (1, 2, 4, 8, 16, 32, 64), 10, 8192, "inductor",
    Film("1080p", (1080, 1920), "gray", "ffv1", 256), Film("1080p 4:2:0", (1080, 1920), "yuv420p", "libx264", 64),
    "ddcolor-large", 512,
)  # fmt: skip
SHORT = Sizes(
    ("ddcolor-tiny",), ("reelwright-upscale-x2",), {"reelwright-upscale-x2": 32}, (1, 2), 1, 64, "eager",
    Film("tiny", (48, 64), "gray", "ffv1", 16), Film("tiny 4:2:0", (48, 64), "yuv420p", "libx264", 16),
    "ddcolor-tiny", 64,
)  # fmt: skip


class Machine:
    """The device that is measured."""

    def __init__(self, name: str, started: float) -> None:
        self.name, self.is_cuda, self._started = name, name.startswith("cuda"), started

    @property
    def is_late(self) -> bool:
        return time.monotonic() - self._started > MOST_SECONDS

    def seconds(self, work: Callable[[], Any], rounds: int) -> float:
        """Seconds of one of several calls, after one that does not count; all of them have ended on the device."""
        work()
        self.wait()
        began = time.perf_counter()
        for _ in range(rounds):
            work()
        self.wait()
        return (time.perf_counter() - began) / rounds

    def wait(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize(self.name)

    def forget_peak(self) -> None:
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.name)

    def peak(self) -> str:
        """The most memory that tensors took on the device."""
        return f"{torch.cuda.max_memory_allocated(self.name) / 1e9:.1f} GB" if self.is_cuda else "not counted here"

    @contextmanager
    def watch(self) -> Iterator[list[bool]]:
        """Yield at each look whether the device had nothing to do; none where there is none."""
        looks, stop = list[bool](), threading.Event()

        def watch() -> None:
            stream = torch.cuda.default_stream(self.name)
            while not stop.wait(_LOOK_SECONDS):
                looks.append(stream.query())

        watcher = threading.Thread(target=watch)
        if self.is_cuda:
            watcher.start()
        try:
            yield looks
        finally:
            stop.set()
            if self.is_cuda:
                watcher.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--short", action="store_true", help="toy sizes, to see that it runs")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            "benchmarks.gpu needs a GPU that PyTorch sees; --device cpu --short tries it without one.", file=sys.stderr
        )
        return 2
    sizes, machine = SHORT if options.short else WHOLE, Machine(options.device, time.monotonic())
    malloc.keep_buffers(worker_memory_mb(Settings()) * 10**6)
    device.make_deterministic(machine.name)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        rows = []
        # What a compiler may take too long for, or fail at, comes last.
        parts = (
            parity_rows(machine, sizes),
            ends_rows(machine, sizes, Path(folder)),
            reel_rows(machine, sizes, Path(folder)),
            cost_rows(machine, sizes),
        )
        for part in parts:
            for row in part:
                print(f"… {row.what}: {row.measured}", file=sys.stderr, flush=True)
                rows.append(row)
    what = torch.cuda.get_device_name(machine.name) if machine.is_cuda else "the CPU"
    print(f"Measured {datetime.date.today()} on {what}, {_core_count()} cores, PyTorch {torch.__version__}.\n")
    print(table(rows))
    return 1 if missed(rows) else 0


# -- networks


def parity_rows(machine: Machine, sizes: Sizes) -> Iterator[ResultRow]:
    """Compare every network in float32 with itself on the CPU."""
    runs: dict[str, Callable[[nn.Module, str], Any]] = {name: partial(run_network, name) for name in sizes.parity}
    runs |= dict.fromkeys(sizes.restorers, enlarge_or_denoise)
    for name, run in runs.items():
        apart = compare(machine, build(name), run)
        yield ResultRow(f"{name}: furthest from the CPU, float32", f"{apart:.0e}", f"≤ {SAME:.0e}", apart <= SAME)


def run_network(name: str, network: nn.Module, where: str) -> Any:
    torch.manual_seed(0)
    return network(*(each.to(where) for each in NETWORKS[name]()))


def enlarge_or_denoise(network: nn.Module, where: str) -> Tensor:
    return models.restore(network, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(where))


def compare(machine: Machine, network: nn.Module, run: Callable[[nn.Module, str], Any]) -> float:
    """Return the largest difference as a share of the largest number."""
    with torch.inference_mode():
        expected = first_tensor(run(network, "cpu"))
        found = first_tensor(run(registered.move_to_device(network, machine.name), machine.name)).cpu()
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def cost_rows(machine: Machine, sizes: Sizes) -> Iterator[ResultRow]:
    """Measure networks in bfloat16 at the batch that suits them best, as they are and compiled."""
    peak = measure_peak(machine, sizes)
    for name, side_px in sizes.timed.items():
        network = registered.move_to_device(build(name), machine.name)
        machine.forget_peak()
        batch, seconds = best_batch(machine, network, side_px, sizes)
        flops = count_flops(network, pictures(machine, 1, side_px))
        share = 100 * flops * batch / seconds / peak
        detail = f"batch {batch}, {batch / seconds:,.0f} pictures/s, {flops / 1e9:,.0f} GFLOP each, {machine.peak()}"
        yield ResultRow(f"{name}, {side_px}², bf16: share of peak", f"{share:.1f} % ({detail})", "–", True)
        ratio = "not measured: no time left" if machine.is_late else gain_of_compiling(
            machine, network, batch, side_px, seconds, sizes
        )  # fmt: skip
        yield ResultRow(f"{name}: compiled ÷ eager, pictures/s", ratio, "–", True)


def gain_of_compiling(
    machine: Machine, network: nn.Module, batch: int, side_px: int, eager_seconds: float, sizes: Sizes
) -> str:  # fmt: skip
    try:
        compiled = torch.compile(network, backend=sizes.backend)
        return f"{eager_seconds / time_network(machine, compiled, batch, side_px, sizes.rounds):.2f}"
    except Exception as error:  # it wants a compiler and much of PyTorch, and the rest stands without it
        return f"not measured: {type(error).__name__}"


def measure_peak(machine: Machine, sizes: Sizes) -> float:
    """Floating point operations a second of a product of square matrices in bfloat16."""
    matrix = torch.rand(sizes.matrix, sizes.matrix, device=machine.name, dtype=torch.bfloat16)
    return 2 * sizes.matrix**3 / machine.seconds(lambda: matrix @ matrix, sizes.rounds)


def best_batch(machine: Machine, network: nn.Module, side_px: int, sizes: Sizes) -> tuple[int, float]:
    """Return the batch that gives most pictures a second, and the seconds that it takes."""
    times: dict[int, float] = {}
    for batch in sizes.batches:
        try:
            times[batch] = time_network(machine, network, batch, side_px, sizes.rounds)
        except torch.OutOfMemoryError:
            break
    batch = max(times, key=lambda each: each / times[each])
    return batch, times[batch]


def time_network(machine: Machine, network: Any, batch: int, side_px: int, rounds: int) -> float:
    given = pictures(machine, batch, side_px)

    def run() -> None:
        with torch.inference_mode(), torch.autocast(given.device.type, torch.bfloat16):
            network(given)

    return machine.seconds(run, rounds)


def count_flops(network: nn.Module, given: Tensor) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(given)
    return int(counter.get_total_flops())


def pictures(machine: Machine, batch: int, side_px: int) -> Tensor:
    return torch.rand(batch, 3, side_px, side_px, device=machine.name).to(memory_format=torch.channels_last)


def build(name: str) -> nn.Module:
    network = models.build(name)
    settle_spectral_norms(network)
    return network


def first_tensor(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else first_tensor(output[0])


# -- a reel


def ends_rows(machine: Machine, sizes: Sizes, folder: Path) -> Iterator[ResultRow]:
    """Compare samples and scores that the device makes of frames, darkened a little, with those of the cores."""
    for film in (sizes.film, sizes.colored):
        house = House(folder / f"ends-{film.codec}", make_film(folder, film), parse("recipe: []", "gpu"), 1)
        source = reel.open_reel(house.item, house.bench())
        finished = []
        for kind, where in ((CoreEnds, "cpu"), (DeviceEnds, machine.name)):
            ends = kind(source, source.layout, False, where)
            cell = next(ends.cells((0, CELL_FRAMES), CELL_FRAMES, ALONE, lambda: None))
            finished.append([wait() for wait in cell.finish(cell.frames * DARKER, ALONE)])
        unlike, apart = 0, 0.0
        for one, other in zip(*finished, strict=True):
            unlike += sum(np.count_nonzero(a != b) for a, b in zip(one.samples, other.samples, strict=True))
            apart = max(apart, *(abs(one.scores[name] - other.scores[name]) for name in one.scores))
        what = f"{film.name} film, made on the device"
        yield at_most(f"{what}: samples unlike those of the cores", unlike, 0)
        yield ResultRow(f"{what}: furthest score", f"{apart:.0e}", f"≤ {SAME:.0e}", apart <= SAME)


def reel_rows(machine: Machine, sizes: Sizes, folder: Path) -> Iterator[ResultRow]:
    """Restore a film with two recipes, from its frames to the chunk of its master."""
    film = make_film(folder, sizes.film)
    colorize = {"weights": sizes.colorizer, "input_size": sizes.input_size}
    for stage, params in (("colorize", colorize), ("upscale", {"weights": "reelwright-upscale-x2"})):
        what = f"{sizes.film.name} film, {stage} with {params['weights']}"
        if machine.is_late:
            yield ResultRow(what, "not measured: no time left", "–", True)
            continue
        recipe = parse(f"recipe: [{{{stage}: {params}}}]\noutputs: [master]", "gpu").model_copy()
        house = House(folder / stage, film, recipe, min(16, _core_count()), machine.name)
        house.item = house.item.model_copy(update={"recipe": with_pin(recipe, house.settings, folder)})
        restore_all(house)
        machine.forget_peak()
        began = time.perf_counter()
        with machine.watch() as looks:
            restore_all(house)
        rate = house.frame_count / (time.perf_counter() - began)
        waits = f"{100 * sum(looks) / len(looks):.0f} %" if looks else "not seen"
        yield ResultRow(what, f"{rate:.1f} frames/s (device waits: {waits}; {machine.peak()})", "–", True)


def with_pin(recipe: Recipe, settings: Settings, folder: Path) -> Recipe:
    """Return a recipe of one step whose weights, random ones, are in the store."""
    (step,) = recipe.steps
    known = card(step.params["weights"])
    path = folder / f"{known.name}.safetensors"
    save_file({name: value.contiguous() for name, value in build(known.name).state_dict().items()}, path)
    blob = open_store(settings).put(f"weights/{known.name}/{path.name}", path)
    pin = Pin(
        card=known.name, architecture=known.architecture, build=known.build, files=(PinnedFile(**blob.model_dump()),)
    )
    return recipe.model_copy(update={"steps": (step.model_copy(update={"pins": (pin,)}),)})


def _core_count() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
