"""What people tell a job: pause, resume, cancel, priority, rerun."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from db.errors import CODES, InputError
from db.ledger.counting import add_delta, count_states
from db.ledger.fencing import CHUNK, cancel_tasks
from db.ledger.job_states import lock_job, move_job
from db.ledger.maintenance import add_sweep
from db.ledger.submission import add_bundles, add_probes
from db.recipe import Recipe
from db.selection import Selection
from db.session import Database
from db.states import ITEM_LIVE, JOB_OVER, ItemKind, ItemState, JobState, TaskState
from db.store.keys import item_prefix
from db.tables import Item, Job, JobProgress, Task


def pause_job(db: Database, job_id: int, *, reason: str = "paused by a person") -> None:
    """Start nothing new; running work stops at a frame boundary, finished segments are kept, others begin anew.

    Raises:
        InputError: ``UNKNOWN_JOB`` or ``WRONG_STATE``.
    """
    with db.write() as connection:
        move_job(db, connection, job_id, JobState.PAUSED, epoch=Job.epoch + 1, pause_reason=reason[:300])
        connection.execute(
            update(Task).where(Task.job_id == job_id, Task.state == TaskState.QUEUED).values(state=TaskState.READY)
        )


def resume_job(db: Database, job_id: int) -> None:
    """Go on with a paused job; raises as :func:`pause_job`."""
    with db.write() as connection:
        state = lock_job(connection, job_id)
        if state is not JobState.PAUSED:
            raise InputError(f"Job {job_id} is {state}, not paused", code="WRONG_STATE")
        move_job(db, connection, job_id, JobState.RUNNING, pause_reason="")
        rested = update(JobProgress).where(JobProgress.job_id == job_id)
        connection.execute(rested.values(frames_per_second=0.0, rated_at=0.0))


def cancel_job(db: Database, job_id: int, *, reason: str = "") -> None:
    """End a job: what is done stays, the rest is cancelled; raises as :func:`pause_job`.

    ``reason`` is kept where it was no person's wish.
    """
    with db.write() as connection:
        move_job(
            db,
            connection,
            job_id,
            JobState.CANCELLED,
            epoch=Job.epoch + 1,
            pause_reason=reason[:300],
            finished_at=db.now,
        )
        cancel_tasks(db, connection, Task.job_id == job_id)
        live = (Item.job_id == job_id, Item.state.in_(ITEM_LIVE))
        counts = connection.execute(select(Item.state, func.count()).where(*live).group_by(Item.state)).all()
        for row in connection.execute(
            select(Item.id, Item.generation).where(*live, Item.state == ItemState.RUNNING)
        ).all():
            add_sweep(db, connection, item_prefix(job_id, row.id, row.generation))
        connection.execute(
            update(Item)
            .where(*live)
            .values(
                state=ItemState.CANCELLED,
                error_code="CANCELLED",
                error_message=CODES["CANCELLED"].meaning,
                error_remedy=CODES["CANCELLED"].remedy,
                plan_due_at=None,
            )
        )
        # Once more: while this waited for a lock, its holder may have added tasks (a split, a plan).
        cancel_tasks(db, connection, Task.job_id == job_id)
        changes = {f"items_{state}": -count for state, count in counts}
        add_delta(connection, job_id, items_cancelled=sum(count for _, count in counts), **changes)


def set_priority(db: Database, job_id: int, priority: int) -> None:
    """Change a job's priority; what is queued already keeps its place. Raises ``UNKNOWN_JOB``."""
    with db.write() as connection:
        lock_job(connection, job_id)
        connection.execute(update(Job).where(Job.id == job_id).values(priority=priority))


def rerun(
    db: Database,
    job_id: int,
    selection: Selection,
    *,
    recipe: Recipe | None = None,
    bundle_stills: int = 32,
    expect: int | None = None,
) -> int:
    """Start the selected finished items again as their next generation; earlier results stay. Returns how many.

    With a selection without conditions, all that failed, are in quarantine or were cancelled. Where ``expect`` is given
    and another number is meant by now, nothing is done.

    Raises:
        InputError: ``UNKNOWN_JOB``, ``NOTHING_SELECTED``, ``COUNT_DIFFERS``, or ``WRONG_STATE`` while the job takes in
            its manifest.
    """
    with db.write() as connection:
        state = lock_job(connection, job_id)
        if state is JobState.INGESTING:
            raise InputError(f"Job {job_id} is {state}", code="WRONG_STATE")
        rows = _items_to_rerun(connection, job_id, selection)
        if not rows:
            raise InputError(f"No finished item of job {job_id} fits the selection", code="NOTHING_SELECTED")
        if expect is not None and expect != len(rows):
            message = f"{len(rows)} items of job {job_id} fit the selection by now, not {expect}"
            raise InputError(message, code="COUNT_DIFFERS")
        if state in JOB_OVER:
            move_job(db, connection, job_id, JobState.RUNNING, finished_at=None, pause_reason="")
        restart(connection, job_id, rows, recipe, bundle_stills)
        return len(rows)


def _items_to_rerun(connection: Connection, job_id: int, selection: Selection) -> list[Row[*tuple[Any, ...]]]:
    """Return finished items that are meant, in manifest order: with no condition, all that failed."""
    if selection.is_empty:
        selection = Selection(states=(ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED))
    statement = select(
        Item.id, Item.kind, Item.state, Item.generation, Item.task_id, Item.frames_done, Item.frames_total, Item.seq
    ).where(Item.job_id == job_id, *selection.conditions_to_rerun())
    ids = sorted(set(selection.external_ids))
    parts = [statement.where(Item.external_id.in_(ids[first : first + CHUNK])) for first in range(0, len(ids), CHUNK)]
    rows: list[Row[*tuple[Any, ...]]] = []
    for part in parts or [statement]:
        rows += connection.execute(part).all()
    return sorted(rows, key=attrgetter("seq"))


def restart(
    connection: Connection, job_id: int, rows: Sequence[Row[*tuple[Any, ...]]],
    recipe: Recipe | None, bundle_stills: int,
) -> None:  # fmt: skip
    """Begin the next generation of finished items.

    Their rows have id, kind, state, generation, task_id, frames_done and frames_total.
    """
    stills = [row.id for row in rows if row.kind == ItemKind.STILL]
    # A still whose line was bad never travelled, and was not counted.
    new_count = sum(row.kind == ItemKind.STILL and row.task_id is None for row in rows)
    reels = [row for row in rows if row.kind == ItemKind.REEL]
    values = {
        "state": ItemState.PENDING, "generation": Item.generation + 1, "error_code": None, "error_message": None,
        "error_remedy": None, "facts_json": None, "profile_json": None, "substitutes_json": "[]", "signature": None,
        "batch_frames": None, "plan_due_at": None, "frames_done": 0, "base_json": None,
    }  # fmt: skip
    if recipe:
        values["recipe_json"] = recipe.model_dump_json()
    bundles = add_bundles(connection, job_id, TaskState.READY, -(-len(stills) // bundle_stills))
    for first, bundle in zip(range(0, len(stills), bundle_stills), bundles, strict=True):
        part = stills[first : first + bundle_stills]
        counted = {"task_id": bundle, "frames_total": 1}
        connection.execute(update(Item).where(Item.id.in_(part)).values(values | counted))
    for first in range(0, len(reels), CHUNK):
        part = [row.id for row in reels[first : first + CHUNK]]
        connection.execute(update(Item).where(Item.id.in_(part)).values(values | {"frames_total": 0}))
    add_probes(connection, job_id, [(row.id, row.generation + 1) for row in reels], TaskState.READY)
    changes = count_states([ItemState.PENDING] * len(rows))
    for name, count in count_states([row.state for row in rows]).items():
        changes[name] = changes.get(name, 0) - count
    frames_done = sum(row.frames_done for row in rows)
    add_delta(
        connection,
        job_id,
        frames_done=-frames_done,
        frames_total=new_count - sum(row.frames_total for row in reels),
        **changes,
    )
