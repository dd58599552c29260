"""Pages of a job of a million items beside one of ten thousand: by state, code, text and score, at any depth."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select, text

from benchmarks.house import Installation, open_installation
from benchmarks.progress import fill_job
from benchmarks.rows import ResultRow, at_most
from db import pages
from db.bounds import ScoreBound
from db.selection import Selection
from db.states import ItemState
from db.tables import Item
from tests.support.servers import postgres

SMALL, LARGE, READS, ROWS = 10_000, 1_000_000, 30, 100
_LOW = ScoreBound("luma_psnr", "<", 20)
_FAILED = Selection(states=(ItemState.FAILED, ItemState.QUARANTINED))


def run(folder: Path) -> list[ResultRow]:
    with open_installation(folder) as installation:
        rows = _measure(installation, "SQLite")
    with postgres() as server, open_installation(folder, database_url=server.new_database()) as installation:
        return rows + _measure(installation, "PostgreSQL")


def _measure(installation: Installation, kind: str) -> list[ResultRow]:
    jobs = {count: fill(installation, count) for count in (SMALL, LARGE)}
    worst_ratio = against_bare = 0.0
    for name in _reads(installation, jobs[SMALL], SMALL):
        # In turn, so that a noisy moment falls on all.
        times: dict[int, list[float]] = {SMALL: [], LARGE: []}
        bare: list[float] = []
        for _ in range(READS):
            for count, job_id in jobs.items():
                times[count].append(_seconds(_reads(installation, job_id, count)[name]))
            bare.append(_seconds(lambda: _bare(installation, jobs[LARGE])))
        small, large = (statistics.median(times[count]) for count in (SMALL, LARGE))
        worst_ratio = max(worst_ratio, large / small)
        if name == "all":  # of others the rows lie far apart
            against_bare = large / statistics.median(bare)
    return [
        at_most(f"items page, 1 M items ÷ 10 k items, the worst of all filters, {kind}", worst_ratio, 1.5),
        at_most(f"items page of 100 rows ÷ a bare keyset read of them, {kind}", against_bare, 5),
    ]


def _reads(installation: Installation, job_id: int, count: int) -> dict[str, Callable[[], object]]:
    database = installation.database

    def page(selection: Selection, after: int = -1) -> Callable[[], object]:
        return lambda: pages.item_page(database, job_id, selection, after=after, limit=ROWS)

    return {
        "all": page(Selection()),
        "all, at the end": page(Selection(), count - ROWS - 1),
        "done": page(Selection(states=(ItemState.DONE,))),
        "failed": page(_FAILED),
        "failed, in the middle": page(_FAILED, count // 2 - 1),
        "a rare code": page(Selection(codes=("CORRUPT",))),
        "a text that finds nothing": page(Selection(text="nowhere")),
        "the worst": lambda: pages.worst_items(database, job_id, _LOW, limit=ROWS),
    }


def _bare(installation: Installation, job_id: int) -> None:
    statement = select(Item.__table__).where(Item.job_id == job_id, Item.seq > 1000).order_by(Item.seq).limit(ROWS)
    with installation.database.read() as connection:
        connection.execute(statement).all()


def _seconds(read: Callable[[], object]) -> float:
    start = time.perf_counter()
    read()
    return time.perf_counter() - start


def fill(installation: Installation, count: int) -> int:
    """Fill a job: one item in fifty failed, half of them as corrupt, and all have a score."""
    job_id = fill_job(installation, count)
    code = "CASE WHEN mod(seq, 100) = 0 THEN 'CORRUPT' ELSE 'TRUNCATED' END"
    with installation.database.write() as connection:
        connection.execute(
            text(f"UPDATE items SET state = 'failed', error_code = {code} WHERE job_id = {job_id} AND mod(seq, 50) = 0")
        )
        connection.execute(
            text(
                "INSERT INTO item_scores (item_id, metric, job_id, value)"
                " SELECT id, 'luma_psnr', job_id, 10 + mod(seq * CAST(7919 AS BIGINT), 1000) / 25.0 FROM items"
                f" WHERE job_id = {job_id}"
            )
        )
        connection.execute(text("ANALYZE"))
    return job_id
