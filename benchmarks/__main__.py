"""Run the benchmarks and print one table: ``python -m benchmarks [--short] [NAME ...]``; without names, all.

What missed its bar is named at the end, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import ResultRow, missed, table

NAMES = (
    "dispatch", "progress", "pages", "web", "ingest", "study_intervals", "restore", "feed", "jobs", "stills",
    "operators", "models", "years",
)  # fmt: skip
SHORT = {
    "dispatch": "what loop, doorbells and leases cost; it takes seconds as it is",
    "jobs": "what decoding, stages, scores, encoding and all between cost: a sixth of one film, `[deflicker]` alone",
    "stills": "what a photo costs; without the scans of 40 megapixels",
}
"""What everyday work is measured by, in less than two minutes, and why.

Left out: `restore` holds three parts against one another and needs rounds; networks, pages and tables of a million rows
take minutes and change seldom.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    names, short = read_arguments(arguments)
    return report([row for name in names for row in run(name, short)])


def read_arguments(arguments: Sequence[str] | None) -> tuple[Sequence[str], bool]:
    """Return which benchmarks are asked for, and whether in their short form."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    for name in asked.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}: {', '.join(NAMES)}")
    return asked.names or tuple(SHORT if asked.short else NAMES), asked.short


def report(rows: Sequence[ResultRow]) -> int:
    """Print the table, and on stderr what missed its bar; return the exit status."""
    cores = len(os.sched_getaffinity(0))
    print(f"Measured {datetime.date.today()}, {cores} cores, Python {platform.python_version()}.\n")
    print(table(rows), flush=True)
    for row in missed(rows):
        print(f"Missed its bar: {row.what}: {row.measured}; the bar is {row.bar}", file=sys.stderr)
    return 1 if missed(rows) else 0


def run(name: str, short: bool) -> list[ResultRow]:
    """Return what one benchmark measured; its short form where there is one and it is asked for."""
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"… {name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
        rows: list[ResultRow] = (getattr(module, "run_short", module.run) if short else module.run)(Path(folder))
    return rows


def _parser() -> argparse.ArgumentParser:
    short = "\n".join(f"  {name}: {reason}" for name, reason in SHORT.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure Reelwright against its bars. The exit status is 1 where one is missed.",
        epilog=f"In the short form:\n{short}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--short", action="store_true", help="less than two minutes, for everyday work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
