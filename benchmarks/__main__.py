"""Run the benchmarks and print one table. ``python -m benchmarks [NAME ...]``; without names, all."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import ResultRow

NAMES = ("dispatch", "progress", "pages", "web", "ingest", "study_intervals", "restore", "jobs", "stills", "models")


def main() -> None:
    rows: list[ResultRow] = []
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            print(f"… {name}", file=sys.stderr, flush=True)
            rows += importlib.import_module(f"benchmarks.{name}").run(Path(folder))
    cores = len(os.sched_getaffinity(0))
    print(f"Measured {datetime.date.today()}, {cores} cores, Python {platform.python_version()}.\n")
    print("| what | measured | bar | met |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.measured} | {row.bar} | {'yes' if row.met else 'no'} |")


if __name__ == "__main__":
    main()
