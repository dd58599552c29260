"""What commands cost an installation that has worked for years: backup, moving, pruning, looking through its rows.

Each runs in a process of its own, at two sizes. What lies between them is the cost of items alone, without a start: CPU
seconds (user and system) for 1,000 items, and what peak memory grows by, which must be next to nothing. Beside them
stand the bounds: reading every row once with a plain SELECT, and hashing every blob.

``python -m benchmarks.years 1000000 --rows`` measures other sizes by hand; with ``--rows`` no blobs are made, and what
copies them is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from benchmarks.house import Installation, open_installation
from benchmarks.rows import ResultRow, at_most, table, told
from benchmarks.years_rows import Amount, fill
from db import ledger
from db.recipe import parse
from db.settings import DATABASE_FILE, TenantShare
from tests.support.servers import Postgres, postgres

ITEMS, PART = 100_000, 10
ROUNDS = 20
"""Of dispatching."""
MOST_MEGABYTES = 16
"""What memory may grow by from a tenth of the items to all: four databases fill their caches, and no list is kept."""
LAUNCHER = """
import json, os, sys
number = os.posix_spawn(sys.executable, (sys.executable, *sys.argv[1:]), os.environ)
_, status, used = os.wait4(number, 0)
cost = {"status": status, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": 1024 * used.ru_maxrss}
print(json.dumps(cost))
"""
"""Starts what is measured: a process begins with the peak of the one that made it, and this one is small."""


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    cpu_seconds: float
    peak_bytes: float


def run(folder: Path, items: int = ITEMS, *, files: bool = True) -> list[ResultRow]:
    with postgres() as server:
        small = measure(folder / "small", Amount(items // PART, files), server)
        large = measure(folder / "large", Amount(items, files), server)
    each = {name: difference(small[name], large[name], items - items // PART) for name in large}
    rows = each["bound: every row once"][0]
    return [row for name, cost in each.items() for row in report(name, *cost, rows)] + dispatch_rows(folder, items)


def difference(small: Cost, large: Cost, items: int) -> tuple[float, float]:
    """CPU milliseconds for each of the ``items`` that one has more, and megabytes of memory for all of them."""
    seconds = large.cpu_seconds - small.cpu_seconds
    return 1000 * seconds / items, (large.peak_bytes - small.peak_bytes) / 1e6


def report(name: str, milliseconds: float, peak: float, bound: float) -> Iterator[ResultRow]:
    detail = f"{milliseconds / bound:.1f} × reading its rows once"
    yield told(f"years, {name}: CPU seconds for 1,000 items", milliseconds, " s", detail)
    if not name.startswith("bound"):
        yield at_most(f"years, {name}: memory that nine tenths add", max(0.0, peak), MOST_MEGABYTES, " MB")


def measure(folder: Path, amount: Amount, server: Postgres) -> dict[str, Cost]:
    """Fill a home and measure every command in it, one after the other."""
    with open_installation(folder) as installation:
        fill(installation, amount)
    return {name: in_process(command) for name, command in commands(folder, amount, server.new_database())}


def commands(folder: Path, amount: Amount, database_url: str) -> Iterator[tuple[str, Sequence[str]]]:
    home, prune = folder / "home", ("prune", "--older-than", "1d", "--keep-latest-generation")
    yield "bound: every row once", ("-m", "benchmarks.years", "--read", str(home / DATABASE_FILE))
    if amount.files:
        yield "bound: every blob once", ("-m", "benchmarks.years", "--read", str(home / "store"))
        yield "backup", in_home(home, "backup", folder / "backup")
        yield "backup again", in_home(home, "backup", folder / "backup")
        yield "restore", in_home(folder / "restored", "restore", folder / "backup")
    yield "db copy to PostgreSQL", in_home(home, "db", "copy", "--to", database_url)
    yield "status", in_home(home, "status")
    yield "status --store", in_home(home, "status", "--store")
    yield "db check --rows", in_home(home, "db", "check", "--rows")
    yield "prune --dry-run", in_home(home, *prune, "--dry-run")
    yield "prune", in_home(home, *prune)
    yield "prune again", in_home(home, *prune)


def in_home(home: Path, *words: object) -> Sequence[str]:
    return ("-m", "reelwright", "--home", str(home), *map(str, words))


def in_process(command: Sequence[str]) -> Cost:
    """Run Python with these arguments and wait for it; raises ``SystemExit`` where it fails."""
    started = time.perf_counter()
    launched = subprocess.run((sys.executable, "-Sc", LAUNCHER, *command), check=True, capture_output=True, text=True)
    *said, last = launched.stdout.splitlines()
    cost: dict[str, float] = json.loads(last)
    print(f"  {time.perf_counter() - started:.1f} s: {' '.join(command[2:])}", *said, sep="\n    ", file=sys.stderr)
    if cost.pop("status"):
        raise SystemExit(f"{' '.join(command)} failed: {launched.stderr}")
    return Cost(**cost)


def read_through(place: Path) -> None:
    """Be the bound: read a database's rows, or hash a folder's files."""
    if place.is_dir():
        for folder, _, names in os.walk(place):
            for name in names:
                hashlib.sha256((Path(folder) / name).read_bytes()).digest()
        return
    with sqlite3.connect(place) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _ in database.execute(f"SELECT * FROM {name}"):
                pass


# -- dispatching


def dispatch_rows(folder: Path, items: int) -> list[ResultRow]:
    """Rounds for a tenant with ten tasks beside one with very many, of which as many are done."""
    seconds = {}
    for count in (items // PART, items):
        with open_installation(folder / f"dispatch-{count}") as installation:
            fill_tenants(installation, ready=count, done=count)
            seconds[count] = statistics.median(round_seconds(installation) for _ in range(ROUNDS))
    small, large = seconds.values()
    detail = f"{1000 * large:.1f} ms of CPU"
    return [
        at_most(f"years, a round of dispatching, {items:,} tasks ÷ {items // PART:,}", large / small, 1.5, "", detail)
    ]


def fill_tenants(installation: Installation, ready: int, done: int) -> None:
    """Make a tenant with many tasks, one with ten, and workers for them."""
    for number in range(8):
        worker = ledger.WorkerIdentity(f"w{number}", "host", number, "cpu", "signature", {})
        ledger.register_worker(installation.database, worker)
    for tenant, tasks in (("many", {"ready": ready, "done": done}), ("few", {"ready": 10})):
        request = ledger.JobRequest(tenant, tenant, tenant, parse("[]", "nothing"), tenant=tenant)
        job_id = ledger.open_job(installation.database, request).id
        with installation.database.write() as connection:
            for state, count in tasks.items():
                connection.execute(text(TASKS), {"job": job_id, "state": state, "count": count})
            connection.execute(text("UPDATE jobs SET state = 'running'"))
    with installation.database.write() as connection:
        connection.execute(text("ANALYZE"))


TASKS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO tasks (job_id, kind, generation, start_frame, stop_frame, queue, state, attempt, dispatch_epoch, job_epoch,
                   not_before, lost_count, failure_count, isolate, dropped, frames_done)
SELECT :job, 'restore', 1, 0, 0, 'light', :state, 0, 0, 0, 0, 0, 0, false, false, 0 FROM n
"""


def round_seconds(installation: Installation) -> float:
    """CPU seconds of ringing for what workers have room for; what was rung for is put back."""
    shares = {"few": TenantShare(weight=2)}
    started = time.process_time()
    bells = ledger.dispatch(installation.database, 1e6, shares)
    seconds = time.process_time() - started
    assert bells
    with installation.database.write() as connection:
        connection.execute(text("UPDATE tasks SET state = 'ready' WHERE state = 'queued'"))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.years", description=__doc__)
    parser.add_argument("items", type=int, nargs="?", default=ITEMS)
    parser.add_argument("--folder", type=Path, help="an empty folder on a disk with room")
    parser.add_argument("--rows", action="store_true", help="without blobs")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        read_through(asked.read)
    else:
        print(table(run(asked.folder, asked.items, files=not asked.rows)))


if __name__ == "__main__":
    main()
