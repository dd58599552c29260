"""A manifest of a million lines: how much memory, and how fast beside a bare bulk insert of the same rows."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import insert

from benchmarks.house import open_installation
from benchmarks.rows import ResultRow, at_least, at_most
from db import ledger
from db.recipe import parse
from db.records import Source
from db.states import ItemKind
from db.tables import Item

LINES = 1_000_000
COMPARED_LINES, ROUNDS = 200_000, 3
"""The two sides are compared in turn, by the CPU seconds that each takes, because the machine may be noisy."""
CHUNK = 2000


def run(folder: Path) -> list[ResultRow]:
    whole = write_manifest(folder / "whole.csv", LINES)
    part = write_manifest(folder / "part.csv", COMPARED_LINES)
    ratios = []
    for number in range(ROUNDS):
        ours = measure_side("submit", folder / f"ours{number}", part)
        ratios.append(measure_side("bare", folder / f"bare{number}", part)["cpu"] / ours["cpu"])
    million = measure_side("submit", folder / "million", whole)
    rate = f"{LINES / million['wall']:,.0f} lines/s"
    return [
        at_most("ingest of 1 M lines, memory at most", million["megabytes"], 300, " MB", rate),
        at_least("ingest, rate ÷ bare bulk insert of the same rows", statistics.median(ratios), 0.3),
    ]


def write_manifest(path: Path, lines: int) -> Path:
    with path.open("w") as file:
        file.write("id,uri,title\n")
        for number in range(lines):
            file.write(f"item{number:07d},photos/{number // 1000:04d}/{number:07d}.jpg,Photograph {number}\n")
    return path


def measure_side(what: str, folder: Path, manifest: Path) -> dict[str, float]:
    """Run one side in a process of its own, so that its memory is its own."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", what, str(folder), str(manifest)],
        check=True,
        capture_output=True,
        text=True,
    )
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures


def submit(folder: Path, manifest: Path) -> None:
    from orchestrator.submit import SubmitOptions
    from orchestrator.submit import submit as submit_manifest

    with open_installation(folder) as installation:
        submit_manifest(installation.settings, installation.database, manifest, SubmitOptions(check_files=False))


def insert_bare(folder: Path, manifest: Path) -> None:
    """Insert the same rows and nothing else: no reading, no checks, no tasks, no counters."""
    source = Source(uri="/photos/0000/0000000.jpg", kind=ItemKind.STILL).model_dump_json(exclude_defaults=True)
    with open_installation(folder) as installation:
        job_id = ledger.open_job(installation.database, ledger.JobRequest("b", "b", "b", parse("[]", "nothing"))).id
        for first in range(0, COMPARED_LINES, CHUNK):
            rows = [
                {
                    "job_id": job_id, "seq": seq, "external_id": f"item{seq:07d}", "kind": "still", "uri": "/a.jpg",
                    "source_json": source, "extra_json": "{}", "state": "pending", "generation": 1, "task_id": 1,
                    "frames_total": 1,
                }
                for seq in range(first, first + CHUNK)
            ]  # fmt: skip
            with installation.database.write() as connection:
                connection.execute(insert(Item), rows)


if __name__ == "__main__":
    side = {"submit": submit, "bare": insert_bare}[sys.argv[1]]
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    side(Path(sys.argv[2]), Path(sys.argv[3]))
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "megabytes": after.ru_maxrss / 1024}))
