from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import insert, select

from db import session
from db.errors import InputError
from db.ledger.job_states import move_job
from db.session import Database
from db.settings import Settings
from db.states import (
    ITEM_LIVE,
    ITEM_MOVES,
    ITEM_OVER,
    JOB_MOVES,
    JOB_OVER,
    TASK_LIVE,
    TASK_MOVES,
    ItemState,
    JobState,
    TaskState,
)
from db.tables import Job


@pytest.fixture(scope="module")
def ledger_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with session.open_database(Settings(home=tmp_path_factory.mktemp("home"))) as database:
        session.upgrade(database)
        yield database


def reachable(moves: Mapping[Any, Collection[Any]], first: Any) -> set[Any]:
    """States that can be come to from the first one."""
    states, ahead = {first}, [first]
    while ahead:
        fresh = set(moves[ahead.pop()]) - states
        states |= fresh
        ahead += fresh
    return states


def test_there_is_a_way_into_every_state() -> None:
    assert reachable(JOB_MOVES, JobState.INGESTING) == set(JobState)
    # A bad line of a manifest is failed from its beginning.
    assert reachable(ITEM_MOVES, ItemState.PENDING) == set(ItemState)
    assert reachable(TASK_MOVES, TaskState.WAITING) == set(TaskState)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("wanted", JobState)
def test_a_job_moves_along_the_table_and_nowhere_else(
    ledger_database: Database, state: JobState, wanted: JobState
) -> None:
    with ledger_database.write() as connection:
        row = {"name": "j", "tenant": "", "priority": 0, "state": state, "epoch": 0, "recipe_json": "{}"}
        row |= {"recipe_fingerprint": "f", "submission_key": f"{state}-{wanted}", "manifest_uri": "m"}
        job_id = connection.execute(
            insert(Job).values(**row, options_json="{}", created_at=0).returning(Job.id)
        ).scalar_one()
    legal = wanted in JOB_MOVES[state]
    with (
        nullcontext() if legal else pytest.raises(InputError, match=f"is {state} and cannot"),
        ledger_database.write() as connection,
    ):
        move_job(ledger_database, connection, job_id, wanted)
    with ledger_database.read() as connection:
        final = connection.scalar(select(Job.state).where(Job.id == job_id))
    assert final == (wanted if legal else state)


def test_terminal_task_states_are_final() -> None:
    assert {state for state, moves in TASK_MOVES.items() if not moves} == set(TaskState) - TASK_LIVE


def test_only_a_rerun_leaves_a_terminal_state() -> None:
    assert set(ItemState) == ITEM_LIVE | ITEM_OVER
    assert all(ITEM_MOVES[state] == {ItemState.PENDING} for state in ITEM_OVER)
    assert all(JOB_MOVES[state] <= {JobState.RUNNING} for state in JOB_OVER)


def test_every_live_task_can_be_cancelled() -> None:
    assert all(TaskState.CANCELLED in TASK_MOVES[state] for state in TASK_LIVE)
