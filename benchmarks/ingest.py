"""A manifest of a million lines: how much memory, and how fast beside a bare bulk insert of the same rows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import insert

from benchmarks.house import house
from benchmarks.rows import Row, at_least, at_most
from db import ledger
from db.recipe import parse
from db.records import Source
from db.states import ItemKind
from db.tables import Item

LINES = 1_000_000
CHUNK = 2000


def run(folder: Path) -> list[Row]:
    manifest = folder / "million.csv"
    with manifest.open("w") as file:
        file.write("id,uri,title\n")
        for number in range(LINES):
            file.write(f"item{number:07d},photos/{number // 1000:04d}/{number:07d}.jpg,Photograph {number}\n")
    ingest = measured("submit", folder, manifest)
    bare = measured("bare", folder / "bare", manifest)
    rates = f"{LINES / ingest['seconds']:,.0f} of {LINES / bare['seconds']:,.0f} lines/s"
    return [
        at_most("ingest of 1 M lines, memory at most", ingest["megabytes"], 300, " MB"),
        at_least("ingest of 1 M lines, rate ÷ bare bulk insert", bare["seconds"] / ingest["seconds"], 0.3, "", rates),
    ]


def measured(what: str, folder: Path, manifest: Path) -> dict[str, float]:
    """Run one side in a process of its own, so that its memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", what, str(folder), str(manifest)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def submit(folder: Path, manifest: Path) -> float:
    from orchestrator.submit import Options
    from orchestrator.submit import submit as submit_manifest

    with house(folder) as made:
        started = time.perf_counter()
        submit_manifest(made.settings, made.database, manifest, Options(check_files=False))
        return time.perf_counter() - started


def bare(folder: Path, manifest: Path) -> float:
    """Insert the same rows and nothing else: no reading, no checks, no tasks, no counters."""
    source = Source(uri="/photos/0000/0000000.jpg", kind=ItemKind.STILL).model_dump_json(exclude_defaults=True)
    with house(folder) as made:
        job_id = ledger.open_job(made.database, ledger.JobRequest("b", "b", "b", parse("[]", "nothing"))).id
        started = time.perf_counter()
        for first in range(0, LINES, CHUNK):
            rows = [
                {
                    "job_id": job_id, "seq": seq, "external_id": f"item{seq:07d}", "kind": "still", "uri": "/a.jpg",
                    "source_json": source, "extra_json": "{}", "state": "pending", "generation": 1, "task_id": 1,
                    "frames_total": 1,
                }
                for seq in range(first, first + CHUNK)
            ]  # fmt: skip
            with made.database.write() as connection:
                connection.execute(insert(Item), rows)
        return time.perf_counter() - started


if __name__ == "__main__":
    side = {"submit": submit, "bare": bare}[sys.argv[1]]
    seconds = side(Path(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps({"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
