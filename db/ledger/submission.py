"""A manifest becomes rows: job, items and their first tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.errors import InputError
from db.ledger.counting import add_delta, count_states
from db.ledger.job_states import lock_job, move_job
from db.queues import LIGHT, RESTORE
from db.recipe import Recipe
from db.records import Source, read_word
from db.session import Database
from db.states import ItemKind, ItemState, JobState, TaskKind, TaskState
from db.tables import Item, Job, JobProgress, Task


@dataclass(frozen=True)
class JobRequest:
    """What is submitted."""

    name: str
    manifest_uri: str
    submission_key: str
    """Digest over manifest and recipe; the same key gives the same job."""
    recipe: Recipe
    priority: int = 0
    tenant: str = "default"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenedJob:
    """What came of opening a job."""

    id: int
    state: JobState
    created: bool
    """Whether this call made it."""
    ingested: int
    """Lines that are already in, from 0 without a gap."""


@dataclass(frozen=True)
class LineError:
    """Why a line became a failed item."""

    code: str
    message: str
    remedy: str


class NewLine(NamedTuple):  # a million are made at a time, and tuples are made thrice as fast
    """One line of a manifest, ready to become an item."""

    seq: int
    external_id: str
    line: int
    """Line number in the manifest, for people."""
    source: Source | None
    """None when the line is bad."""
    recipe: Recipe | None = None
    """None when the job's recipe holds."""
    error: LineError | None = None
    extra: Mapping[str, Any] = MappingProxyType({})


def open_job(db: Database, request: JobRequest) -> OpenedJob:
    """Make a job in state ``ingesting``, or find the one of the same submission key."""
    for _ in range(2):  # the second round finds the job that someone else made in between
        with db.write() as connection:
            existing = _find(connection, request.submission_key)
            if existing:
                return existing
            try:
                return _make(db, connection, request)
            except IntegrityError:
                connection.rollback()
    raise InputError("Two submissions of the same manifest collided; submit it again", code="WRONG_STATE")


def add_lines(db: Database, job_id: int, lines: Sequence[NewLine], *, bundle_stills: int) -> Sequence[NewLine]:
    """Add a chunk of lines in order, with probe tasks for reels and bundles of at most ``bundle_stills`` stills.

    Tasks stay ``waiting`` until :func:`close_ingest`, so nothing starts on half a manifest. Returns the lines that were
    added: another submission of the same manifest may have brought some of them already.

    Raises:
        InputError: ``WRONG_STATE`` when the job takes no more lines.
    """
    with db.write() as connection:
        state = lock_job(connection, job_id)
        count = _ingested(connection, job_id)
        lines = [line for line in lines if line.seq >= count]
        if not lines:
            return lines
        if state is not JobState.INGESTING:
            raise InputError(f"Job {job_id} takes no more lines: it is {state}", code="WRONG_STATE")
        bad = [line for line in lines if line.error or line.source is None]
        good = [line for line in lines if not line.error and line.source is not None]
        stills = [line for line in good if line.source and line.source.kind is ItemKind.STILL]
        reels = [line for line in good if line.source and line.source.kind is ItemKind.REEL]
        rows = [_row(job_id, line, None) for line in bad]
        bundles = add_bundles(connection, job_id, TaskState.WAITING, -(-len(stills) // bundle_stills))
        rows += [_row(job_id, line, bundles[place // bundle_stills]) for place, line in enumerate(stills)]
        _insert_items(connection, rows)
        if reels:
            new_items = connection.execute(
                insert(Item).returning(Item.id, sort_by_parameter_order=True),
                [_row(job_id, line, None) for line in reels],
            )
            add_probes(connection, job_id, [(item_id, 1) for (item_id,) in new_items], TaskState.WAITING)
        states = [ItemState.FAILED] * len(bad) + [ItemState.PENDING] * len(good)
        add_delta(connection, job_id, frames_total=len(stills), **count_states(states))
        return lines


def close_ingest(db: Database, job_id: int) -> None:
    """Let the job begin: its waiting tasks become ready."""
    with db.write() as connection:
        if lock_job(connection, job_id) is not JobState.INGESTING:
            return  # another submission of the same manifest was quicker, or a person cancelled it
        move_job(db, connection, job_id, JobState.READY)
        connection.execute(
            update(Task).where(Task.job_id == job_id, Task.state == TaskState.WAITING).values(state=TaskState.READY)
        )


def add_bundles(connection: Connection, job_id: int, state: TaskState, count: int, *, lost_count: int = 0) -> list[int]:
    """Add empty bundle tasks and return their ids; stills join one by pointing at it."""
    if not count:
        return []
    bundle = {
        "job_id": job_id,
        "kind": TaskKind.RESTORE,
        "generation": 1,
        "queue": RESTORE,
        "state": state,
        "lost_count": lost_count,
    }
    new_tasks = connection.execute(insert(Task).returning(Task.id, sort_by_parameter_order=True), [bundle] * count)
    return [task_id for (task_id,) in new_tasks]


def add_probes(connection: Connection, job_id: int, items: Sequence[tuple[int, int]], state: TaskState) -> None:
    """Add a probe task for each reel, given as (item, generation)."""
    if items:
        connection.execute(
            insert(Task),
            [
                {
                    "job_id": job_id,
                    "item_id": item_id,
                    "kind": TaskKind.PROBE,
                    "generation": generation,
                    "queue": LIGHT,
                    "state": state,
                }
                for item_id, generation in items
            ],
        )


def _find(connection: Connection, submission_key: str) -> OpenedJob | None:
    row = connection.execute(select(Job.id, Job.state).where(Job.submission_key == submission_key)).first()
    if row is None:
        return None
    return OpenedJob(
        row.id, read_word(JobState, row.state, f"job {row.id}"), created=False, ingested=_ingested(connection, row.id)
    )


def _ingested(connection: Connection, job_id: int) -> int:
    """Return how many lines of a job are in; they come in order."""
    last = connection.scalar(select(func.max(Item.seq)).where(Item.job_id == job_id))
    return 0 if last is None else int(last) + 1


def _make(db: Database, connection: Connection, request: JobRequest) -> OpenedJob:
    new_job = connection.execute(
        insert(Job)
        .values(
            name=request.name[:200],
            tenant=request.tenant[:100],
            priority=request.priority,
            state=JobState.INGESTING,
            epoch=0,
            recipe_json=request.recipe.model_dump_json(),
            recipe_fingerprint=request.recipe.fingerprint(),
            submission_key=request.submission_key,
            manifest_uri=request.manifest_uri,
            options_json=json.dumps(request.options),
            created_at=db.now,
        )
        .returning(Job.id)
    )
    job_id = int(new_job.scalar_one())
    connection.execute(insert(JobProgress).values(job_id=job_id))
    return OpenedJob(job_id, JobState.INGESTING, created=True, ingested=0)


def _insert_items(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as the driver takes them: SQLAlchemy's own way looks at every value, half the cost of a line."""
    if not rows:
        return
    statement = insert(Item).compile(dialect=connection.dialect, column_keys=list(rows[0]))
    parameters: Sequence[Any] = rows
    if statement.positiontup:
        parameters = list(map(itemgetter(*statement.positiontup), rows))
    connection.exec_driver_sql(str(statement), parameters)


def _row(job_id: int, line: NewLine, task_id: int | None) -> dict[str, Any]:
    source, error = line.source, line.error
    bad = error is not None or source is None
    still = source is not None and source.kind is ItemKind.STILL
    return {
        "job_id": job_id,
        "seq": line.seq,
        "external_id": line.external_id,
        "kind": source.kind.value if source else None,
        "uri": source.uri if source else str(line.extra.get("uri", "")),
        "source_json": source.model_dump_json(exclude_defaults=True) if source else None,
        "recipe_json": line.recipe.model_dump_json() if line.recipe else None,
        "extra_json": to_json({"line": line.line, **line.extra}).decode(),
        "state": "failed" if bad else "pending",
        "generation": 1,
        "task_id": task_id,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "error_remedy": error.remedy if error else None,
        "frames_total": 1 if still and not bad else 0,
        "substitutes_json": "[]",
        "handle_frames": 0,
        "frames_done": 0,
    }
