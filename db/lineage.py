"""All that is written down about single items: source, work, results, machines. Only reads; never changes anything.

Provenance records and checks are made of this. ``db.progress`` answers what is asked of whole jobs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from db import judgments, progress
from db.judgments import ReviewRow
from db.ledger.assignments import item_view
from db.progress import AttemptRow, JobRow
from db.records import ItemResult, ItemView, read_column, read_object, read_word
from db.session import Database
from db.states import ItemState
from db.tables import Attempt, Item, Job, Result, Task, Worker

PAGE = 200
"""Items whose lineage is read at once."""


@dataclass(frozen=True)
class Machine:
    """A worker process, as it introduced itself."""

    boot_id: str
    host: str
    device: str
    signature: str
    versions: Mapping[str, str]
    """Releases of all that can change a bit of the output."""


@dataclass(frozen=True)
class Generation:
    """What one run of an item came to."""

    number: int
    result: ItemResult
    accepted_at: float
    attempts: tuple[AttemptRow, ...]
    """Every attempt at its tasks, oldest first; of a still, those at the bundle that brought the result."""
    reviews: tuple[ReviewRow, ...] = ()
    """What of it lies beyond gates, worst first, and what people said."""


@dataclass(frozen=True)
class Lineage:
    """One item and all that became of it."""

    job: JobRow
    job_key: str
    """Digest over its manifest and recipe: tells jobs of several installations apart."""
    seq: int
    """Place in the manifest, from 0."""
    state: ItemState
    code: str | None
    message: str | None
    extra: Mapping[str, Any]
    """Descriptive fields of its line."""
    record: ItemView | None
    """The item as workers see it now; none when its line was bad."""
    external_id: str
    uri: str
    signature: str | None
    """Compute signature that the reel was planned for; none for stills, whose attempts name their workers."""
    generations: tuple[Generation, ...]
    """Accepted results, oldest first; empty when nothing was ever accepted."""
    machines: Mapping[str, Machine] = field(default_factory=dict)
    """By boot id: those of the attempts that are still written down."""

    @property
    def newest(self) -> Generation | None:
        """The newest accepted result."""
        return self.generations[-1] if self.generations else None


def lineages(
    db: Database, job_id: int, *, external_ids: Sequence[str] = (), with_work: bool = True
) -> Iterator[Lineage]:
    """Items in manifest order with all that is known of them, read page by page.

    Args:
        db: The database.
        job_id: The job.
        external_ids: Only these items; empty means all.
        with_work: Whether attempts, machines and reviews are asked for too: of a long reel there are thousands.

    Raises:
        InputError: ``UNKNOWN_JOB``.
    """
    job = progress.job(db, job_id)
    job_recipe = job.recipe.model_dump_json()
    with db.read() as connection:
        key, options = connection.execute(select(Job.submission_key, Job.options_json).where(Job.id == job_id)).one()
    statement = select(Item.__table__).where(Item.job_id == job_id)
    if external_ids:
        statement = statement.where(Item.external_id.in_(external_ids))
    after = -1
    while True:
        with db.read() as connection:
            rows = connection.execute(statement.where(Item.seq > after).order_by(Item.seq).limit(PAGE)).all()
            results = _results(connection, rows)
            work = _item_attempts(connection, rows, results) if with_work else _ItemAttempts.none()
            machines = _machines(connection, work.workers)
        reviews = judgments.item_reviews(db, [row.id for row in rows]) if with_work else {}
        for row in rows:
            record = item_view(row, job_recipe, options) if row.source_json else None
            generations = tuple(_generation(row, each, work, reviews.get(row.id, ())) for each in results[row.id])
            yield _lineage(job, key, row, record, generations, machines)
        if len(rows) < PAGE:
            return
        after = rows[-1].seq


def _results(connection: Connection, items: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    """Return accepted results by item."""
    statement = select(Result.__table__).where(Result.item_id.in_([item.id for item in items]))
    by_item: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(statement.order_by(Result.generation)):
        by_item[row.item_id].append(row)
    return by_item


@dataclass(frozen=True)
class _ItemAttempts:
    """Attempts at the tasks of some items."""

    by_item: dict[int, list[AttemptRow]]
    """Of reels, whose tasks are their own."""
    by_bundle: dict[int, list[AttemptRow]]
    """Of stills, by the task that they travelled in."""

    @classmethod
    def none(cls) -> _ItemAttempts:
        """Return none at all."""
        return cls(defaultdict(list), defaultdict(list))

    @property
    def workers(self) -> set[str]:
        return {each.worker for attempts in (*self.by_item.values(), *self.by_bundle.values()) for each in attempts}


def _item_attempts(
    connection: Connection, items: Sequence[Row[Any]], results: Mapping[int, Sequence[Row[Any]]]
) -> _ItemAttempts:
    work = _ItemAttempts.none()
    columns = (Task.kind, Task.item_id, Task.start_frame, Task.stop_frame, Task.generation)
    statement = select(Attempt.__table__, *columns).join(Task, Task.id == Attempt.task_id).order_by(Attempt.id)
    for row in connection.execute(statement.where(Task.item_id.in_([item.id for item in items]))):
        work.by_item[row.item_id].append(progress.attempt_row(row))
    bundles = {row.task_id for item_results in results.values() for row in item_results}
    for row in connection.execute(statement.where(Task.id.in_(bundles), Task.item_id.is_(None))):
        work.by_bundle[row.task_id].append(progress.attempt_row(row))
    return work


def _machines(connection: Connection, boot_ids: set[str]) -> dict[str, Machine]:
    rows = connection.execute(select(Worker.__table__).where(Worker.boot_id.in_(boot_ids)))
    return {row.boot_id: Machine(row.boot_id, row.host, row.device, row.signature, _versions(row)) for row in rows}


def _versions(row: Row[Any]) -> dict[str, Any]:
    return read_object(row.versions_json, f"worker {row.boot_id}")


def _lineage(
    job: JobRow,
    job_key: str,
    row: Row[Any],
    record: ItemView | None,
    generations: tuple[Generation, ...],
    machines: Mapping[str, Machine],
) -> Lineage:
    boot_ids = {each.worker for generation in generations for each in generation.attempts}
    return Lineage(
        job=job,
        job_key=job_key,
        seq=row.seq,
        state=read_word(ItemState, row.state, f"item {row.id}"),
        code=row.error_code,
        message=row.error_message,
        extra=read_object(row.extra_json, f"item {row.id}"),
        record=record,
        external_id=row.external_id,
        uri=row.uri,
        signature=row.signature,
        generations=generations,
        machines={boot_id: machine for boot_id, machine in machines.items() if boot_id in boot_ids},
    )


def _generation(item: Row[Any], result: Row[Any], work: _ItemAttempts, reviews: Sequence[ReviewRow]) -> Generation:
    reel_attempts = [each for each in work.by_item[item.id] if each.generation == result.generation]
    attempts = reel_attempts or [each for each in work.by_bundle[result.task_id] if each.attempt <= result.attempt]
    record = read_column(ItemResult, result.result_json, f"item {item.id}'s result")
    said = tuple(each for each in reviews if each.generation == result.generation)
    return Generation(result.generation, record, result.accepted_at, tuple(attempts), said)
