"""Where a job's state is written, and nowhere else: the row is locked, the table of moves asked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from db.errors import InputError
from db.ledger.webhooks import tell_webhooks
from db.records import read_word
from db.session import Database
from db.states import JOB_MOVES, JobState
from db.tables import Job


def lock_job(connection: Connection, job_id: int) -> JobState:
    """Lock a job until the transaction ends and return its state.

    Raises:
        InputError: ``UNKNOWN_JOB``.
    """
    state = connection.scalar(select(Job.state).where(Job.id == job_id).with_for_update(key_share=True))
    if state is None:
        raise InputError(f"There is no job {job_id}", code="UNKNOWN_JOB")
    return read_word(JobState, state, f"job {job_id}")


def move_job(db: Database, connection: Connection, job_id: int, state: JobState, **values: Any) -> None:
    """Bring a job into ``state`` and set ``values``, other columns of its row, with it; webhooks are told.

    Raises:
        InputError: ``UNKNOWN_JOB``; ``WRONG_STATE`` when ``JOB_MOVES`` knows no such move.
    """
    before = lock_job(connection, job_id)
    if state not in JOB_MOVES[before]:
        raise InputError(f"Job {job_id} is {before} and cannot become {state}", code="WRONG_STATE")
    connection.execute(update(Job).where(Job.id == job_id).values(state=state, **values))
    tell_webhooks(db, connection, job_id, state)
