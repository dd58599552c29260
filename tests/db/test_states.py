from __future__ import annotations

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


def test_every_state_has_its_moves() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(ITEM_MOVES) == set(ItemState)
    assert set(TASK_MOVES) == set(TaskState)


def test_terminal_task_states_are_final() -> None:
    assert {state for state, moves in TASK_MOVES.items() if not moves} == set(TaskState) - TASK_LIVE


def test_only_a_rerun_leaves_a_terminal_state() -> None:
    assert set(ItemState) == ITEM_LIVE | ITEM_OVER
    assert all(ITEM_MOVES[state] == {ItemState.PENDING} for state in ITEM_OVER)
    assert all(JOB_MOVES[state] <= {JobState.RUNNING} for state in JOB_OVER)


def test_every_live_task_can_be_cancelled() -> None:
    assert all(TaskState.CANCELLED in TASK_MOVES[state] for state in TASK_LIVE)
