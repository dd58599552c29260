"""Reading the progress of a job of ten million items beside one of ten thousand."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from benchmarks.house import Installation, open_installation
from benchmarks.rows import ResultRow, at_most
from db import ledger, progress
from db.recipe import parse

SMALL, LARGE, READS = 10_000, 10_000_000, 200


def run(folder: Path) -> list[ResultRow]:
    with open_installation(folder) as installation:
        jobs = {count: fill_job(installation, count) for count in (SMALL, LARGE)}
        # In turn, so that a noisy moment falls on both.
        times: dict[int, list[float]] = {SMALL: [], LARGE: []}
        for _ in range(READS):
            for count, job_id in jobs.items():
                start = time.perf_counter()
                shown = progress.progress(installation.database, job_id)
                times[count].append((time.perf_counter() - start) * 1000)
                assert shown.items_total == count
    small, large = statistics.median(times[SMALL]), statistics.median(times[LARGE])
    return [
        at_most("progress read, 10 M items ÷ 10 k items", large / small, 1.5),
        at_most("progress read at 10 M items, median", large, 5, " ms"),
    ]


def fill_job(installation: Installation, count: int) -> int:
    """Make a job with ``count`` stills in rows, written by one SQL statement, and its counters."""
    request = ledger.JobRequest("bench", "bench", f"{count}", parse("[]", "nothing"))
    job_id = ledger.open_job(installation.database, request).id
    with installation.database.write() as connection:
        connection.exec_driver_sql(
            f"""
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})
            INSERT INTO items (job_id, seq, external_id, kind, uri, source_json, extra_json, state, generation,
                               substitutes_json, handle_frames, frames_total, frames_done)
            SELECT {job_id}, i, 'item' || i, 'still', '/a/' || i, '{{}}', '{{}}', 'done', 1, '[]', 0, 1, 1 FROM n
            """
        )
        connection.exec_driver_sql(
            f"INSERT INTO counter_deltas (job_id, items_pending, items_running, items_done, items_failed,"
            f" items_quarantined, items_cancelled, frames_total, frames_done, bytes_out)"
            f" VALUES ({job_id}, 0, 0, {count}, 0, 0, 0, {count}, {count}, 0)"
        )
    ledger.fold_counters(installation.database)
    return job_id
