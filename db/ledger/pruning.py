"""What is let go of when jobs have long been over. What an accepted result or its provenance needs stays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from db.ledger.counting import add_delta
from db.ledger.job_states import lock_job
from db.ledger.maintenance import fold_counters
from db.records import ItemResult, ReelFacts, read_column
from db.session import Database
from db.states import ITEM_LIVE, JOB_OVER, DeliveryState, ItemState, JobState, Outcome
from db.tables import Attempt, BrowserSession, Delivery, Item, Job, Result, Task


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


class _DryRunError(Exception):
    """Rolls a transaction back."""


def jobs_to_prune(db: Database, rules: PruneRules) -> tuple[int, ...]:
    """Return the jobs that have been over for so long, oldest first."""
    old = Job.finished_at < db.now - rules.older_than_seconds
    with db.read() as connection:
        return tuple(connection.scalars(select(Job.id).where(Job.state.in_(rules.states), old).order_by(Job.id)))


def prune_job(
    db: Database, job_id: int, rules: PruneRules, *, dry_run: bool, look: Callable[[Connection], None]
) -> PrunedRows | None:
    """Let go of a job's rows, or only count them; none where the job is not over any more.

    ``look`` is called in the same transaction, while nobody can start any of its items again.
    """
    count = PrunedRows()
    try:
        with db.write() as connection:
            if lock_job(connection, job_id) not in JOB_OVER:
                return None
            count.attempts = _drop_attempts(connection, job_id)
            if rules.keep_latest_generation:
                count.generations = _drop_outputs(connection, job_id)
            count.mezzanines = _drop_mezzanines(connection, job_id)
            look(connection)
            if dry_run:
                raise _DryRunError
    except _DryRunError:
        pass
    return count


def prune_installation(db: Database, rules: PruneRules, *, dry_run: bool) -> PrunedRows:
    """Let go of what belongs to no job, and fold counters that nobody has folded."""
    count = PrunedRows()
    old = db.now - rules.older_than_seconds
    try:
        with db.write() as connection:
            delivered = Delivery.state != DeliveryState.PENDING
            count.deliveries = connection.execute(delete(Delivery).where(delivered, Delivery.created_at < old)).rowcount
            expired = delete(BrowserSession).where(BrowserSession.expires_at < db.now)
            count.sessions = connection.execute(expired).rowcount
            if dry_run:
                raise _DryRunError
    except _DryRunError:
        return count
    while fold_counters(db):
        pass
    return count


def _drop_attempts(connection: Connection, job_id: int) -> int:
    of_job = select(Task.id).where(Task.job_id == job_id)
    vain = Attempt.outcome.is_not(None), Attempt.outcome != Outcome.DONE
    return connection.execute(delete(Attempt).where(Attempt.task_id.in_(of_job), *vain)).rowcount


def _drop_outputs(connection: Connection, job_id: int) -> int:
    newest = select(Result.item_id, func.max(Result.generation).label("generation")).group_by(Result.item_id).subquery()
    statement = (
        select(Result.id, Result.result_json)
        .join(newest, newest.c.item_id == Result.item_id)
        .join(Item, Item.id == Result.item_id)
        .where(Item.job_id == job_id, Item.state.not_in(ITEM_LIVE), Result.generation < newest.c.generation)
    )
    count, freed = 0, 0
    for row in connection.execute(statement).all():
        result = read_column(ItemResult, row.result_json, f"result {row.id}")
        if result.outputs:
            freed += sum(blob.bytes for blob in result.outputs.values())
            note = "Its outputs were pruned: a later generation took its place."
            pruned = result.model_copy(update={"outputs": {}, "notes": (*result.notes, note)})
            _rewrite(connection, Result, row.id, result_json=pruned.model_dump_json())
            count += 1
    # What a job has in the store, tenants may have only so much of.
    add_delta(connection, job_id, bytes_out=-freed)
    return count


def _drop_mezzanines(connection: Connection, job_id: int) -> int:
    has_one = Item.facts_json.contains('"mezzanine":{', autoescape=True)
    statement = select(Item.id, Item.facts_json).where(Item.job_id == job_id, Item.state == ItemState.DONE, has_one)
    rows = connection.execute(statement).all()
    for row in rows:
        facts = read_column(ReelFacts, row.facts_json, f"item {row.id}")
        pruned = facts.model_copy(update={"mezzanine": None, "mezzanine_pruned": True})
        _rewrite(connection, Item, row.id, facts_json=pruned.model_dump_json())
    return len(rows)


def _rewrite(connection: Connection, table: Any, number: int, **values: str) -> None:
    connection.execute(update(table).where(table.id == number).values(values))
