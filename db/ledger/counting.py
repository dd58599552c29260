"""Counters of a job, kept as appended deltas: no row that every worker must lock. Used inside ``db.ledger`` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, insert

from db.states import ItemState
from db.tables import CounterDelta


def add_delta(connection: Connection, job_id: int, **changes: int) -> None:
    """Append one change of the job's counters; nothing is written when nothing changes."""
    nonzero = {name: change for name, change in changes.items() if change}
    if nonzero:
        connection.execute(insert(CounterDelta).values(job_id=job_id, **nonzero))


def move_items(connection: Connection, job_id: int, before: ItemState, after: ItemState, count: int = 1) -> None:
    """Record that ``count`` items of the job went from one state to another."""
    add_delta(connection, job_id, **{f"items_{before}": -count, f"items_{after}": count})


def count_states(states: Iterable[str]) -> dict[str, int]:
    """Count states as changes for :func:`add_delta`."""
    return {f"items_{state}": count for state, count in Counter(states).items()}
