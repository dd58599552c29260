"""Two transactions at once on PostgreSQL: the second always waits for the first, or finds what it left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, inspect

from db import ledger
from db.errors import InputError, LeaseLost, ReelwrightError
from db.recipe import resolve
from db.records import TaskResult
from db.session import Database
from db.states import ItemState, JobState, TaskKind, TaskState
from tests.conftest import Schema
from tests.db.desk import LEASE_SECONDS, Desk, blob, done_still, facts, reel, still

FAILURE = ledger.Failure("CORRUPT", "frame 3 cannot be decoded", "Send a good copy.")


@pytest.fixture
def desk(postgres_schema: Schema) -> Iterator[Desk]:
    with postgres_schema.open() as database:
        with database.write() as connection:
            names = ", ".join(name for name in inspect(connection).get_table_names() if name != "alembic_version")
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        yield Desk(database)


class Slow:
    """A second connection whose transaction stops just before its first statement that says ``word``, or its commit."""

    def __init__(self, schema: Schema, word: str) -> None:
        self.db = schema.open()
        self.word = word
        self.there, self.go_on = threading.Event(), threading.Event()
        event.listen(self.db.engine, "before_cursor_execute", self._look)
        event.listen(self.db.engine, "commit", lambda _: self._look(None, None, "COMMIT"))

    def _look(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.word in " ".join(statement.split()) and not self.there.is_set():
            self.there.set()
            self.go_on.wait(20)


@contextmanager
def halted(schema: Schema, act: Callable[[Database], Any], word: str = "COMMIT") -> Iterator[list[Any]]:
    """Run ``act`` up to ``word`` before the block and the rest after it; the list then holds what came of it."""
    slow, came = Slow(schema, word), []

    def run() -> None:
        try:
            came.append(act(slow.db))
        except ReelwrightError as error:
            came.append(error.code)
        except LeaseLost:
            came.append("LOST")

    thread = threading.Thread(target=run)
    thread.start()
    assert slow.there.wait(20)
    try:
        yield came
    finally:
        slow.go_on.set()
        thread.join()
        slow.db.engine.dispose()


def at_once(act: Callable[[], Any]) -> threading.Thread:
    """Begin ``act`` in a thread and give it time to reach a lock."""

    def run() -> None:
        try:
            act()
        except (LeaseLost, InputError):
            return

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    return thread


def held(desk: Desk, *spans: tuple[int, int]) -> list[ledger.Lease]:
    """Lease every restore task of a reel cut into ``spans``."""
    desk.probed_reel(spans[-1][1], *spans, handle_frames=8)
    desk.hire("w2")
    leases = [desk.lease(bell) for bell in desk.dispatch()]
    return [lease for lease in leases if lease is not None]


def test_a_pause_is_not_lost_to_the_first_dispatch(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.submit([still(0)])
    desk.hire()
    with halted(postgres_schema, lambda db: ledger.dispatch(db, LEASE_SECONDS), "UPDATE tasks") as came:
        pause = at_once(lambda: ledger.pause_job(desk.db, job_id))
    pause.join()
    assert came[0]
    assert desk.job_state(job_id) == JobState.PAUSED
    assert desk.tasks()[0].state == TaskState.READY
    ledger.resume_job(desk.db, job_id)
    assert desk.lease(desk.dispatch()[0]) is not None


def test_a_rerun_keeps_its_job_from_ending(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.submit([still(0)])
    desk.hire()
    ledger.fail_still(desk.db, desk.next_lease(), 1, FAILURE)
    ledger.fold_counters(desk.db)
    with halted(postgres_schema, lambda db: ledger.rerun(db, job_id, ledger.Selection())):
        ending = at_once(lambda: ledger.finish_jobs(desk.db))
    ending.join()
    assert desk.job_state(job_id) == JobState.RUNNING
    desk.assert_counted(job_id)


def test_a_cancelled_job_stays_cancelled_when_it_would_end(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.submit([still(0)])
    desk.hire()
    ledger.fail_still(desk.db, desk.next_lease(), 1, FAILURE)
    ledger.fold_counters(desk.db)
    with halted(postgres_schema, lambda db: ledger.cancel_job(db, job_id)):
        ending = at_once(lambda: ledger.finish_jobs(desk.db))
    ending.join()
    assert desk.job_state(job_id) == JobState.CANCELLED


def test_a_line_never_joins_a_job_that_was_just_cancelled(desk: Desk, postgres_schema: Schema) -> None:
    job = ledger.open_job(desk.db, ledger.JobRequest("j", "m", "k", resolve("identity")))
    with halted(postgres_schema, lambda db: ledger.add_lines(db, job.id, [still(0), reel(1)], bundle_stills=8)):
        cancel = at_once(lambda: ledger.cancel_job(desk.db, job.id))
    cancel.join()
    assert {item.state for item in desk.items()} == {ItemState.CANCELLED}
    assert {task.state for task in desk.tasks()} == {TaskState.CANCELLED}
    desk.assert_counted(job.id)


def test_a_cancel_takes_along_what_a_split_adds_meanwhile(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.probed_reel(16, (0, 16))
    ledger.release_dead_worker(desk.db, desk.next_lease().boot_id, forgive=False)
    desk.hire("w2")
    desk.next_lease()
    with halted(postgres_schema, lambda db: ledger.release_dead_worker(db, "w2", forgive=False)):
        cancel = at_once(lambda: ledger.cancel_job(desk.db, job_id))
    cancel.join()
    assert len(desk.tasks(kind="restore")) == 3
    assert {task.state for task in desk.tasks(kind="restore")} == {TaskState.SPLIT, TaskState.CANCELLED}


def test_a_cancel_takes_along_what_the_planner_adds_meanwhile(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.submit([reel(0)])
    desk.hire()
    ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=facts(8)))
    (view,) = ledger.due_reels(desk.db)
    plan = ledger.ReelPlan([ledger.NewTask(TaskKind.RESTORE, 0, 8)], "sig", 8, 0)
    with halted(postgres_schema, lambda db: ledger.add_tasks(db, view, plan)) as came:
        cancel = at_once(lambda: ledger.cancel_job(desk.db, job_id))
    cancel.join()
    assert came == [True]
    assert desk.tasks(kind="restore")[0].state == TaskState.CANCELLED


def test_two_poison_frames_at_once_are_both_remembered(desk: Desk, postgres_schema: Schema) -> None:
    first, second, third = held(desk, (0, 8), (8, 16), (16, 24))
    ledger.complete_task(desk.db, second, TaskResult(outputs={"chunk": blob()}, frames=8))
    with halted(postgres_schema, lambda db: ledger.quarantine_frame(db, first, 0, "signal 9")):
        other = at_once(lambda: ledger.quarantine_frame(desk.db, third, 23, "signal 9"))
    other.join()
    (item,) = desk.items()
    assert {entry["frame"] for entry in json.loads(item.substitutes_json)} == {0, 23}
    spans = [(task.start_frame, task.stop_frame) for task in desk.open_tasks()]
    assert sorted(spans) == sorted(set(spans))
    desk.assert_counted(1)


def test_a_task_is_not_leased_while_a_substitute_is_written(desk: Desk, postgres_schema: Schema) -> None:
    desk.probed_reel(16, (0, 8), (8, 16), handle_frames=8)
    lease = desk.next_lease()
    (queued,) = desk.tasks(state="queued")
    seen: list[ledger.Lease | None] = []
    with halted(postgres_schema, lambda db: ledger.quarantine_frame(db, lease, 3, "signal 9")):
        taking = at_once(lambda: seen.append(desk.lease(ledger.Doorbell(queued.id, queued.dispatch_epoch, "q"))))
        assert seen == []
    taking.join()
    assert seen[0] is not None
    item = ledger.read_assignment(desk.db, seen[0]).item
    assert item is not None
    assert [entry.frame for entry in item.substitutes] == [3]


@pytest.mark.parametrize("end", ["fail", "poison", "shrink"])
def test_a_reel_that_ends_waits_for_a_segment_that_completes(desk: Desk, postgres_schema: Schema, end: str) -> None:
    first, second = held(desk, (0, 8), (8, 16))
    ways: dict[str, Callable[[Database], Any]] = {
        "fail": lambda db: ledger.fail_item(db, first, FAILURE),
        "poison": lambda db: ledger.quarantine_frame(db, first, 3, "signal 9"),
        "shrink": lambda db: ledger.replan_smaller(db, first, FAILURE),
    }
    done = TaskResult(outputs={"chunk": blob()}, frames=8)
    # The completing one holds its task and wants the item; the ending one must not hold the item and want the task.
    with halted(postgres_schema, lambda db: ledger.complete_task(db, second, done), "UPDATE items") as came:
        ending = at_once(lambda: ways[end](desk.db))
    ending.join()
    assert came == [None]
    desk.assert_counted(1)


def test_two_new_leaders_agree_on_one(desk: Desk, postgres_schema: Schema) -> None:
    with halted(postgres_schema, lambda db: ledger.lead(db, "a", 15)) as came:
        other: list[bool] = []
        waiting = at_once(lambda: other.append(ledger.lead(desk.db, "b", 15)))
    waiting.join()
    assert (came, other) == ([True], [False])


def test_two_submissions_at_once_give_one_job(desk: Desk, postgres_schema: Schema) -> None:
    request = ledger.JobRequest("job", "m", "k", resolve("identity"))
    with halted(postgres_schema, lambda db: ledger.open_job(db, request)) as came:
        other: list[ledger.OpenedJob] = []
        waiting = at_once(lambda: other.append(ledger.open_job(desk.db, request)))
    waiting.join()
    assert (came[0].created, [job.created for job in other]) == (True, [False])
    assert came[0].id == other[0].id


def test_a_still_that_completes_is_not_cancelled(desk: Desk, postgres_schema: Schema) -> None:
    job_id = desk.submit([still(0), still(1)])
    desk.hire()
    lease = desk.next_lease()
    with halted(postgres_schema, lambda db: ledger.complete_still(db, lease, 1, done_still())):
        cancel = at_once(lambda: ledger.cancel_job(desk.db, job_id))
    cancel.join()
    assert [item.state for item in desk.items()] == ["done", "cancelled"]
    desk.assert_counted(job_id)


def test_a_heartbeat_that_comes_first_keeps_its_lease(desk: Desk, postgres_schema: Schema) -> None:
    desk.submit([still(0)])
    desk.hire()
    lease = desk.next_lease()
    later = desk.later(LEASE_SECONDS + 1).db
    renewing = lambda db: ledger.heartbeat(Database(db.engine, clock=later.clock), "w1", lease, 0, LEASE_SECONDS)  # noqa: E731
    reaped: list[int] = []
    with halted(postgres_schema, renewing) as came:
        reaping = at_once(lambda: reaped.append(ledger.reap(later)))
    reaping.join()
    assert (came, reaped) == ([ledger.Renewal(held=True, stop=False)], [0])
