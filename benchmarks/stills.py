"""Stills: what a photo costs beside Pillow's reading and writing of it, and the memory of a large one.

CPU seconds of the worker process are compared with those of a process that does nothing but open and save the same
files, with one thread each. The worker's beginning and end, which take seconds, are left out by a second, smaller job.
Memory is the peak of resident memory of a process that restores one picture; its slope from a smaller to a larger one
leaves out what libraries take.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
from PIL import Image

from benchmarks.house import open_installation
from benchmarks.rows import ResultRow, at_most
from db.recipe import resolve
from db.states import ItemKind

PHOTOS, SHORT_PHOTOS, FEW, SIZE = 224, 96, 32, (750, 1000)
"""Photos of the larger job, in its short form too, and of the smaller one; their height and width."""
ROUNDS = 3
QUALITY = 95
"""Of the JPEG that Pillow writes: as the house does."""
MEGAPIXELS = (10, 40)
DEPTHS = (8, 16)


def run(folder: Path) -> list[ResultRow]:
    return [*_cost_rows(folder, ROUNDS, PHOTOS), *_memory_rows(folder)]


def run_short(folder: Path) -> list[ResultRow]:
    return _cost_rows(folder, 1, SHORT_PHOTOS)


def _cost_rows(folder: Path, rounds: int, count: int) -> list[ResultRow]:
    photos = [_write_photo(folder / f"{number:03}.jpg", number) for number in range(count)]
    house, pillow = [], []
    for number in range(rounds):
        pillow.append(_in_process("pillow", folder)["cpu"] / count)
        few, many = (_job_cpu(folder / f"{number}-{size}", photos[:size]) for size in (FEW, count))
        house.append((many - few) / (count - FEW))
    ours, theirs = float(np.median(house)), float(np.median(pillow))
    detail = f"{ours * 1000:.1f} ms beside {theirs * 1000:.1f}"
    return [at_most("a photo of 1000×750, `identity` ÷ Pillow's read and write", ours / theirs, 3.5, "", detail)]


def _memory_rows(folder: Path) -> list[ResultRow]:
    rows = []
    for bits in DEPTHS:
        scans = [_write_scan(folder / f"{megapixels}-{bits}.tif", megapixels, bits) for megapixels in MEGAPIXELS]
        for recipe in ("identity", "conservation"):
            small, large = (_in_process("memory", scan, recipe)["peak_bytes"] for scan in scans)
            slope = (large - small) / (10**6 * (MEGAPIXELS[1] - MEGAPIXELS[0]))
            what = f"memory of a scan of 40 megapixels, 3 × {bits} bits, `{recipe}`, bytes a pixel"
            rows.append(at_most(what, slope, 16, "", f"{large / 1e9:.2f} GB in all"))
    return rows


def _write_photo(path: Path, seed: int) -> Path:
    Image.fromarray(_picture(*SIZE, 8, seed)).save(path, quality=92)
    return path


def _write_scan(path: Path, megapixels: int, bits: int) -> Path:
    height = round((megapixels * 10**6 / 4 * 3) ** 0.5)
    samples = _picture(height, height * 4 // 3, bits, megapixels)
    out = oiio.ImageOutput.create(str(path))
    out.open(str(path), oiio.ImageSpec(samples.shape[1], samples.shape[0], 3, str(samples.dtype)))
    out.write_image(samples)
    out.close()
    return path


def _picture(height: int, width: int, bits: int, seed: int) -> np.ndarray:
    """Soft colours with a little grain, ``(H, W, 3)``."""
    rng, top = np.random.default_rng(seed), 2**bits - 1
    out = np.empty((height, width, 3), np.uint8 if bits == 8 else np.uint16)
    soft = cv2.resize(rng.random((12, 16, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for row, colors in zip(out, soft, strict=True):
        row[:] = np.clip((colors * 0.6 + 0.2 + rng.normal(0, 0.02, colors.shape)) * top, 0, top)
    return out


def _job_cpu(home: Path, photos: list[Path]) -> float:
    """CPU seconds of the worker of a job; it has ended, and been waited for, when the job is done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open_installation(home, slots=1, codec_threads=1) as installation:
        installation.run(installation.submit(photos, resolve("identity"), ItemKind.STILL))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _in_process(errand: str, *arguments: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.stills", errand, *map(str, arguments)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures


def open_and_save(folder: str) -> dict[str, float]:
    with TemporaryDirectory() as scratch:
        started = time.process_time()
        for path in sorted(Path(folder).glob("*.jpg")):
            with Image.open(path) as image:
                image.load()
                image.save(Path(scratch) / path.name, quality=QUALITY, subsampling=0)
        return {"cpu": time.process_time() - started}


def restore_one(scan: str, recipe: str) -> dict[str, float]:
    """Restore one still as a worker does, and tell the most memory that was resident."""
    from db.records import ItemView, Source
    from db.settings import Settings
    from db.store import open_store
    from workers import device, malloc
    from workers.tasks.restore_still import restore_still
    from workers.workbench import Workbench

    malloc.keep_buffers()
    device.make_deterministic("cpu")
    with TemporaryDirectory() as home:
        settings, scratch = Settings(home=Path(home), device="cpu"), Path(home) / "scratch"
        scratch.mkdir()
        source = Source(uri=scan, kind=ItemKind.STILL)
        item = ItemView(id=1, external_id="scan", source=source, recipe=resolve(recipe), generation=0)
        restore_still(item, Workbench(open_store(settings), scratch, settings, "bench/1"))
    return {"peak_bytes": _peak_bytes()}


def _peak_bytes() -> float:
    """Most memory that was resident, by Linux; what getrusage says counts the parent's before this program began."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    errand = {"pillow": open_and_save, "memory": restore_one}[sys.argv[1]]
    print(json.dumps(errand(*sys.argv[2:])))
