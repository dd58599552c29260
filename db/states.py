"""States of jobs, items and tasks, and which may follow which; and the other words that stand in columns.

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
    READ_BACK = "read_back"
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


class WorkerState(StrEnum):
    """Where one worker process stands."""

    LIVE = "live"
    LEFT = "left"
    """It ended in order, or was found dead."""
    DRAINED = "drained"
    """It failed at what others finished, and is given nothing more."""


class Role(StrEnum):
    """What somebody may do, from least to most; compared by that, not by the alphabet."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Place in the order, from 0."""
        return tuple(Role).index(self)

    def __lt__(self, other: str) -> bool:
        return self.rank < Role(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Role(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Role(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Role(other).rank


class Verdict(StrEnum):
    """What became of a stretch that lies beyond a gate."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    """Nobody decided, and a rerun made the item anew."""


class StudyState(StrEnum):
    """Whether raters are still asked."""

    OPEN = "open"
    CLOSED = "closed"


class TrialKind(StrEnum):
    """Why a pair of pictures is shown."""

    NORMAL = "normal"
    REPEAT = "repeat"
    """Once more, to see whether a rater says the same."""
    IDENTICAL = "identical"
    """One picture twice, to see what a rater says of it."""


class Choice(StrEnum):
    """What a rater says of a pair."""

    LEFT = "left"
    RIGHT = "right"
    NONE = "none"
    """No difference."""


class WebhookEvent(StrEnum):
    """What webhooks are told: ``job.`` and the state that a job came to."""

    DONE = f"job.{JobState.DONE}"
    DONE_WITH_FAILURES = f"job.{JobState.DONE_WITH_FAILURES}"
    CANCELLED = f"job.{JobState.CANCELLED}"
    PAUSED = f"job.{JobState.PAUSED}"


class LookState(StrEnum):
    """Where a picture stands that a worker shall show."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """What became of a message to a webhook."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


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
