"""What is let go of when jobs have long been over. What an accepted result or its provenance needs stays.

Everything goes in steps, each a short transaction: workers that write meanwhile wait for none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from db.ledger.counting import add_delta
from db.ledger.job_states import lock_job
from db.ledger.maintenance import fold_counters
from db.records import ItemResult, ReelFacts, read_column
from db.selection import newest_generation
from db.session import Database
from db.states import ITEM_LIVE, JOB_OVER, DeliveryState, ItemState, JobState, Outcome
from db.tables import Attempt, BrowserSession, Delivery, Item, Job, Result, Task

ITEMS_AT_ONCE = 500
"""Items of a job that one transaction looks through and changes: a fifth of a second where all have something to go."""
ROWS_AT_ONCE = 5000
"""Numbers of rows that one transaction looks through and removes."""


@dataclass(frozen=True)
class PruneRules:
    """What may go."""

    older_than_seconds: float
    """Time since a job was over."""
    states: Collection[JobState] = tuple(JOB_OVER)
    """Of the jobs that are looked at; those that are not over never are."""
    keep_latest_generation: bool = False
    """Whether of each item the newest result alone is kept: outputs of earlier ones go, what is said of them stays."""


@dataclass
class PrunedRows:
    """What went of the rows."""

    attempts: int = 0
    """That came to nothing: failed, lost, given back."""
    generations: int = 0
    """Earlier results whose outputs went."""
    mezzanines: int = 0
    deliveries: int = 0
    """Messages that their receivers have."""
    sessions: int = 0
    """Of browsers, that ran out."""


@dataclass(frozen=True)
class _Findings:
    """What of some items may go."""

    outputs: list[tuple[int, ItemResult]]
    """Numbers and records of earlier results that have outputs yet."""
    mezzanines: list[tuple[int, ReelFacts]]
    """Numbers of items, and what is known of their reels."""

    def __bool__(self) -> bool:
        return bool(self.outputs or self.mezzanines)


def jobs_to_prune(db: Database, rules: PruneRules) -> tuple[int, ...]:
    """Return the jobs that have been over for so long, oldest first."""
    with db.read() as connection:
        return tuple(connection.scalars(select(Job.id).where(_is_old(db, rules)).order_by(Job.id)))


def is_over(connection: Connection, job_id: int) -> bool:
    """Whether nobody works on a job, or will."""
    return connection.scalar(select(Job.state).where(Job.id == job_id)) in JOB_OVER


def prune_job(db: Database, job_id: int, rules: PruneRules, *, dry_run: bool) -> PrunedRows:
    """Let go of what a job's rows hold, or only count it; nothing more from when it is not over any more."""
    count = PrunedRows()
    with db.read() as connection:
        items = connection.scalar(select(func.max(Item.seq)).where(Item.job_id == job_id))
    for first in range(0, (items or 0) + 1, ITEMS_AT_ONCE):
        of_some = (Item.job_id == job_id) & Item.seq.between(first, first + ITEMS_AT_ONCE - 1)
        found = _look(db, job_id, of_some, rules) if dry_run else _drop(db, job_id, of_some, rules)
        count.generations += len(found.outputs)
        count.mezzanines += len(found.mezzanines)
    return count


def prune_installation(db: Database, rules: PruneRules, *, dry_run: bool) -> PrunedRows:
    """Let go of rows that no job shows, or only count them, and fold counters that nobody has folded."""
    # By attempt: a list of all old tasks would be made anew for every stretch.
    of_old = select(Task.id).join(Job, Job.id == Task.job_id).where(Task.id == Attempt.task_id, _is_old(db, rules))
    told = (Delivery.state != DeliveryState.PENDING, Delivery.created_at < db.now - rules.older_than_seconds)
    count = PrunedRows(
        attempts=_delete(db, Attempt, of_old.exists(), Attempt.outcome != Outcome.DONE, dry_run=dry_run),
        deliveries=_delete(db, Delivery, *told, dry_run=dry_run),
        sessions=_delete(db, BrowserSession, BrowserSession.expires_at < db.now, dry_run=dry_run),
    )
    while not dry_run and fold_counters(db):
        pass
    return count


def _is_old(db: Database, rules: PruneRules) -> ColumnElement[bool]:
    return Job.state.in_(rules.states) & (Job.finished_at < db.now - rules.older_than_seconds)


def _delete(db: Database, table: Any, *which: ColumnElement[bool], dry_run: bool) -> int:
    """Remove rows of a table, or only count them; one stretch of its numbers after the other."""
    count = 0
    for span in _spans(db, table):
        with db.read() as connection:
            found = connection.scalar(select(func.count()).where(span, *which)) or 0
        if found and not dry_run:
            with db.write() as connection:
                found = connection.execute(delete(table).where(span, *which)).rowcount
        count += found
    return count


def _spans(db: Database, table: Any) -> Iterator[ColumnElement[bool]]:
    with db.read() as connection:
        first, last = connection.execute(select(func.min(table.id), func.max(table.id))).one()
    if first is not None:
        for start in range(first, last + 1, ROWS_AT_ONCE):
            yield table.id.between(start, start + ROWS_AT_ONCE - 1)


def _look(db: Database, job_id: int, of_some: ColumnElement[bool], rules: PruneRules) -> _Findings:
    with db.read() as connection:
        return _find(connection, of_some, rules) if is_over(connection, job_id) else _Findings([], [])


def _drop(db: Database, job_id: int, of_some: ColumnElement[bool], rules: PruneRules) -> _Findings:
    """Let go of what is found of some items; looked for twice, so that nobody is held up where there is nothing."""
    found = _look(db, job_id, of_some, rules)
    if found:
        with db.write() as connection:
            if lock_job(connection, job_id) not in JOB_OVER:
                return _Findings([], [])
            found = _find(connection, of_some, rules)
            _drop_outputs(connection, job_id, found.outputs)
            for number, facts in found.mezzanines:
                pruned = facts.model_copy(update={"mezzanine": None, "mezzanine_pruned": True})
                _rewrite(connection, Item, number, facts_json=pruned.model_dump_json())
    return found


def _find(connection: Connection, of_some: ColumnElement[bool], rules: PruneRules) -> _Findings:
    outputs = _find_outputs(connection, of_some) if rules.keep_latest_generation else []
    has_one = Item.facts_json.contains('"mezzanine":{', autoescape=True)
    statement = select(Item.id, Item.facts_json).where(of_some, Item.state == ItemState.DONE, has_one)
    reels = connection.execute(statement).all()
    return _Findings(outputs, [(row.id, read_column(ReelFacts, row.facts_json, f"item {row.id}")) for row in reels])


def _find_outputs(connection: Connection, of_some: ColumnElement[bool]) -> list[tuple[int, ItemResult]]:
    statement = select(Result.id, Result.result_json).join(Item, Item.id == Result.item_id)
    earlier = Result.generation < newest_generation(Result.item_id)
    rows = connection.execute(statement.where(of_some, Item.state.not_in(ITEM_LIVE), earlier)).all()
    results = [(row.id, read_column(ItemResult, row.result_json, f"result {row.id}")) for row in rows]
    return [(number, result) for number, result in results if result.outputs]


def _drop_outputs(connection: Connection, job_id: int, results: list[tuple[int, ItemResult]]) -> None:
    note = "Its outputs were pruned: a later generation took its place."
    for number, result in results:
        pruned = result.model_copy(update={"outputs": {}, "notes": (*result.notes, note)})
        _rewrite(connection, Result, number, result_json=pruned.model_dump_json())
    # What a job has in the store, tenants may have only so much of.
    freed = sum(blob.bytes for _, result in results for blob in result.outputs.values())
    add_delta(connection, job_id, bytes_out=-freed)


def _rewrite(connection: Connection, table: Any, number: int, **values: str) -> None:
    connection.execute(update(table).where(table.id == number).values(values))
