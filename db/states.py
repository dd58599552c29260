"""States of jobs, items and tasks, and which may follow which.

``docs/states.md`` draws these tables; a test holds drawing and tables equal.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where one submission stands."""

    INGESTING = "ingesting"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    DONE_WITH_FAILURES = "done_with_failures"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """Where one still or reel stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class TaskState(StrEnum):
    """Where one leasable unit stands."""

    WAITING = "waiting"
    READY = "ready"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    SPLIT = "split"
    CANCELLED = "cancelled"


class TaskKind(StrEnum):
    """What a task does. A ``restore`` without an item is a bundle of stills."""

    PROBE = "probe"
    INSPECT = "inspect"
    MERGE = "merge"
    RESTORE = "restore"
    ASSEMBLE = "assemble"


class ItemKind(StrEnum):
    """What one line of a manifest is."""

    STILL = "still"
    REEL = "reel"


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    RETRY = "retry"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    REFUSED = "refused"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.INGESTING: frozenset({JobState.READY, JobState.CANCELLED}),
    # Over before anything ran: every line of the manifest was bad, or there was none.
    JobState.READY: frozenset(
        {JobState.RUNNING, JobState.PAUSED, JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset({JobState.PAUSED, JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED}),
    JobState.PAUSED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    # A rerun opens a finished job again: its items carry the next generation.
    JobState.DONE: frozenset({JobState.RUNNING}),
    JobState.DONE_WITH_FAILURES: frozenset({JobState.RUNNING}),
    JobState.CANCELLED: frozenset({JobState.RUNNING}),
}

ITEM_MOVES: dict[ItemState, frozenset[ItemState]] = {
    ItemState.PENDING: frozenset({ItemState.RUNNING, ItemState.CANCELLED}),
    ItemState.RUNNING: frozenset({ItemState.DONE, ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED}),
    # Terminal for their generation; a rerun starts the next one at pending.
    ItemState.DONE: frozenset({ItemState.PENDING}),
    ItemState.FAILED: frozenset({ItemState.PENDING}),
    ItemState.QUARANTINED: frozenset({ItemState.PENDING}),
    ItemState.CANCELLED: frozenset({ItemState.PENDING}),
}

TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset({TaskState.READY, TaskState.CANCELLED}),
    TaskState.READY: frozenset({TaskState.QUEUED, TaskState.CANCELLED}),
    TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.READY, TaskState.CANCELLED}),
    TaskState.RUNNING: frozenset(
        {
            TaskState.DONE,
            TaskState.READY,
            TaskState.FAILED,
            TaskState.QUARANTINED,
            TaskState.SPLIT,
            TaskState.CANCELLED,
        }
    ),
    TaskState.DONE: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.QUARANTINED: frozenset(),
    TaskState.SPLIT: frozenset(),
    TaskState.CANCELLED: frozenset(),
}

JOB_OVER = frozenset({JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED})
ITEM_OVER = frozenset({ItemState.DONE, ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED})
ITEM_LIVE = frozenset({ItemState.PENDING, ItemState.RUNNING})
TASK_LIVE = frozenset({TaskState.WAITING, TaskState.READY, TaskState.QUEUED, TaskState.RUNNING})
