"""The ledger against chance: workers, leaders and people do anything in any order, and the records stay true."""

from __future__ import annotations

import json
from collections import Counter, namedtuple
from contextlib import suppress
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db import ledger, progress, session
from db.errors import InputError, LeaseLost
from db.recipe import resolve
from db.records import Assignment, Blob, ItemResult, TaskResult
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
    TaskKind,
    TaskState,
)  # fmt: skip
from db.tables import COUNTERS, Base, Worker
from orchestrator import plan
from tests.db.desk import LEASE_SECONDS, facts, reel, still
from tests.support.recount import recount

FRAMES = 20
CUTS = Settings(segment_frames=8, batch_frames=4)
SIGNATURES = {"w0": "sig", "w1": "sig", "w2": "other"}
BOOTS = st.sampled_from(sorted(SIGNATURES))
PICK = st.integers(0, 1_000)
FAILURE = ledger.Failure("CORRUPT", "frame 3 cannot be decoded", "Send a good copy.")
FROM_PEOPLE = {"pause": ledger.pause_job, "resume": ledger.resume_job, "cancel": ledger.cancel_job}


@pytest.fixture(scope="module", autouse=True)
def _close_the_database() -> Any:
    yield
    for machine in Machine.opened:
        machine.engine.dispose()
    Machine.opened.clear()


Records = dict[str, list[Any]]
"""All rows of all tables, by table."""
ROWS = {
    name: namedtuple(name, [column.name for column in table.columns])
    for name, table in Base.metadata.tables.items()
    if name != Worker.__tablename__
}


class Machine(RuleBasedStateMachine):
    """One ledger, three workers, two jobs, and a clock that only the machine moves."""

    opened: list[Database] = []  # noqa: RUF012 -- one file for all examples: making the schema takes a second

    def __init__(self) -> None:
        super().__init__()
        if not self.opened:
            made = Database(session.engine(f"sqlite:///{mkdtemp()}/machine.db"), clock=0.0)
            session.upgrade(made)
            self.opened.append(made)
        self.db = self.opened[0]
        self.db.clock = 1_000_000.0
        with self.db.write() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
        self.bells: list[ledger.Doorbell] = []
        self.leases: list[ledger.Lease] = []
        self.views: list[ledger.ReelView] = []
        self.before = self._everything()

    # -- what happens

    @initialize(stills=st.integers(0, 5), reels=st.integers(0, 2), recipe=st.sampled_from(["identity", "silent-film"]))
    def begin(self, stills: int, reels: int, recipe: str) -> None:
        for boot_id, signature in SIGNATURES.items():
            ledger.register_worker(self.db, ledger.WorkerIdentity(boot_id, "host", 1, "cpu", signature, {}))
        self._submit(
            "a", [still(number) for number in range(stills)] + [reel(stills + n) for n in range(reels)], recipe
        )
        empty = still(2)._replace(error=ledger.LineError("ZERO_BYTE", "It has no bytes.", "Send a good copy."))
        self._submit("b", [reel(0), still(1), empty], "identity")

    def _submit(self, key: str, lines: list[ledger.NewLine], recipe: str) -> None:
        job = ledger.open_job(self.db, ledger.JobRequest(key, "manifest", key, resolve(recipe)))
        ledger.add_lines(self.db, job.id, lines, bundle_stills=2)
        ledger.close_ingest(self.db, job.id)

    @rule()
    def dispatch(self) -> None:
        self.bells += ledger.dispatch(self.db, LEASE_SECONDS)

    @rule(seconds=st.sampled_from([0.0, 10.0]))
    def ring_again(self, seconds: float) -> None:
        self.bells += ledger.ring_again(self.db, seconds, LEASE_SECONDS)

    @rule(boot_id=BOOTS)
    def take_work(self, boot_id: str) -> None:
        """Go the straight way to a lease, which pure chance takes too seldom."""
        ledger.heartbeat(self.db, boot_id, None, 0, LEASE_SECONDS)
        self.plan(keep=False, signature=SIGNATURES[boot_id])
        self.bells += ledger.dispatch(self.db, LEASE_SECONDS)
        self.the_records_are_true()
        for task in [row for row in self._everything()["tasks"] if row.state == TaskState.QUEUED][:3]:
            self._lease(ledger.Doorbell(task.id, task.dispatch_epoch, task.queue), boot_id)

    @rule(boot_id=BOOTS, pick=PICK)
    def work_well(self, boot_id: str, pick: int) -> None:
        """Finish what the worker holds, so that reels grow old enough for what happens late."""
        for lease in [lease for lease in self.leases if lease.boot_id == boot_id and self._holds(lease)][:3]:
            self._finish(lease, "done", pick)
            self.the_records_are_true()

    @rule(pick=PICK, boot_id=BOOTS, off=st.sampled_from([-1, 0, 0, 0, 1]))
    def answer_any_bell(self, pick: int, boot_id: str, off: int) -> None:
        if self.bells:
            bell = self.bells[pick % len(self.bells)]
            self._lease(ledger.Doorbell(bell.task_id, bell.epoch + off, bell.queue), boot_id)

    def _lease(self, bell: ledger.Doorbell, boot_id: str) -> None:
        before, task = self._everything(), self._task(bell.task_id)
        (job,) = [row for row in before["jobs"] if row.id == task.job_id]
        lease = ledger.lease(self.db, bell.task_id, bell.epoch, boot_id, SIGNATURES[boot_id], LEASE_SECONDS)
        fits = task.signature in {None, SIGNATURES[boot_id]} and job.state == JobState.RUNNING
        current = task.state == TaskState.QUEUED and task.dispatch_epoch == bell.epoch
        assert (lease is not None) == (fits and current and task.job_epoch == job.epoch)
        if lease is None:
            assert self._everything() == before
        else:
            self.leases.append(lease)
        self.the_records_are_true()

    @rule(boot_id=BOOTS, pick=PICK, frames=st.integers(0, 8))
    def beat(self, boot_id: str, pick: int, frames: int) -> None:
        mine = [lease for lease in self.leases if lease.boot_id == boot_id]
        lease = mine[pick % len(mine)] if mine else None
        renewal = ledger.heartbeat(self.db, boot_id, lease, frames, LEASE_SECONDS)
        assert renewal is None if lease is None else renewal and renewal.held == self._holds(lease)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, luck=st.sampled_from(["done"] * 6 + ["fail", "retry", "shrink", "poison", "release"]))
    def finish_the_newest(self, pick: int, luck: str) -> None:
        self._finish(self.leases[-1 - pick % min(4, len(self.leases))], luck, pick)

    @precondition(lambda self: self.leases)
    @rule(
        pick=PICK, luck=st.sampled_from(["done", "fail", "retry", "shrink", "poison", "release"]), forged=st.booleans()
    )
    def finish_any(self, pick: int, luck: str, forged: bool) -> None:
        lease = self.leases[pick % len(self.leases)]
        self._finish(ledger.Lease(lease.task_id, lease.attempt, "w9") if forged else lease, luck, pick)

    def _finish(self, lease: ledger.Lease, luck: str, pick: int) -> None:
        """Bring an outcome: accepted exactly when the lease still holds; else nothing at all changes."""
        if self._holds(lease):
            self._outcome(ledger.read_assignment(self.db, lease), lease, luck, pick)
            return
        before = self._everything()
        with pytest.raises(LeaseLost):
            ledger.read_assignment(self.db, lease)
        stale = Assignment(
            task_id=lease.task_id,
            attempt=1,
            kind=TaskKind(self._task(lease.task_id).kind),
            job_id=1,
            key_prefix="jobs/1/stale",
        )
        with pytest.raises(LeaseLost):
            self._outcome(stale, lease, luck, pick)
        assert self._everything() == before

    def _outcome(self, work: Assignment, lease: ledger.Lease, luck: str, pick: int) -> None:
        if luck == "fail":
            ledger.fail_item(self.db, lease, FAILURE)
        elif luck == "retry":
            ledger.retry(self.db, lease, FAILURE, max_attempts=3, backoff_seconds=5)
        elif luck == "shrink":
            ledger.replan_smaller(self.db, lease, FAILURE)
        elif luck == "release":
            ledger.release(self.db, lease)
        elif luck == "poison" and work.kind is TaskKind.RESTORE and work.stop_frame:
            ledger.quarantine_frame(self.db, lease, work.start_frame + pick % 4, "signal 9")
        else:
            self._done(work, lease, pick)

    def _done(self, work: Assignment, lease: ledger.Lease, pick: int = 1) -> None:
        own = Blob(key=f"{work.key_prefix}/x", sha256="0" * 64, bytes=10)
        frames = work.stop_frame - work.start_frame
        if work.kind is TaskKind.PROBE:
            found = facts(FRAMES).model_copy(update={"index": own})
            ledger.complete_task(self.db, lease, TaskResult(outputs={"index": own}, facts=found))
        elif work.kind is TaskKind.ASSEMBLE:
            ledger.complete_item(self.db, lease, ItemResult(outputs={"master": own}))
        elif work.kind is TaskKind.RESTORE and work.stop_frame:
            ledger.complete_task(self.db, lease, TaskResult(outputs={"chunk": own}, frames=frames))
        elif work.kind is not TaskKind.RESTORE:
            name = "profile" if work.kind is TaskKind.MERGE else "values"
            ledger.complete_task(self.db, lease, TaskResult(outputs={name: own}))
        elif not work.stills:
            ledger.finish_bundle(self.db, lease)
        else:
            self._still_done(work, lease, pick)

    def _still_done(self, work: Assignment, lease: ledger.Lease, pick: int) -> None:
        item = work.stills[0]
        if pick % 5 == 0:
            ledger.fail_still(self.db, lease, item.id, FAILURE)
            return
        name = work.key_prefix.rpartition("/")[2]
        key = f"jobs/{work.job_id}/items/{item.id}/g{item.generation}/restore/{name}/x"
        made = ItemResult(outputs={"still": Blob(key=key, sha256="0" * 64, bytes=10)})
        ledger.complete_still(self.db, lease, item.id, made)
        before = self._everything()
        with pytest.raises(LeaseLost):
            ledger.complete_still(self.db, lease, item.id, made)  # not twice
        assert self._everything() == before

    @rule(seconds=st.sampled_from([0.5, 10.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.db.clock = (self.db.clock or 0.0) + seconds

    @rule()
    def reap(self) -> None:
        expired = ledger.running_tasks(self.db)[1]
        assert ledger.reap(self.db) == expired

    @rule()
    def hold_leases(self) -> None:
        ledger.hold_leases(self.db, LEASE_SECONDS)
        assert ledger.running_tasks(self.db)[1] == 0

    @rule(boot_id=BOOTS, forgive=st.booleans())
    def lose_worker(self, boot_id: str, forgive: bool) -> None:
        ledger.release_dead_worker(self.db, boot_id, forgive=forgive)

    @rule(job_id=st.integers(1, 2), verb=st.sampled_from(["pause", "resume", "resume", "cancel"]))
    def obey(self, job_id: int, verb: str) -> None:
        with suppress(InputError):
            FROM_PEOPLE[verb](self.db, job_id)

    @rule(job_id=st.integers(1, 2), states=st.sets(st.sampled_from(sorted(ITEM_OVER))))
    def rerun(self, job_id: int, states: set[ItemState]) -> None:
        with suppress(InputError):
            ledger.rerun(self.db, job_id, ledger.Selection(states=tuple(states)), bundle_stills=2)

    @rule(keep=st.booleans(), signature=st.sampled_from(["sig", "sig", "other"]))
    def plan(self, keep: bool, signature: str) -> None:
        """Plan what is due, or look now and write later, as a leader that slept does."""
        views = ledger.due_reels(self.db)
        self.views = self.views + views if keep else self.views
        for view in [] if keep else views:
            self._write_plan(view, signature)

    @precondition(lambda self: self.views)
    @rule(pick=PICK)
    def plan_late(self, pick: int) -> None:
        self._write_plan(self.views[pick % len(self.views)], "sig")

    def _write_plan(self, view: ledger.ReelView, signature: str) -> None:
        wanted = plan.next_tasks(view, CUTS, signature)
        assert wanted is not None
        ledger.add_tasks(self.db, view, wanted)

    @rule()
    def strand(self) -> None:
        ledger.replan_stranded(self.db, 30.0)

    @rule()
    def fold_and_finish(self) -> None:
        ledger.fold_counters(self.db)
        ledger.finish_jobs(self.db)
        for job in self._everything()["jobs"]:
            shown, recounted = progress.progress(self.db, job.id), recount(self.db, job.id)
            assert {name: getattr(shown, name) for name in recounted if name != "frames_done"} == {
                name: count for name, count in recounted.items() if name != "frames_done"
            }

    # -- what always holds

    @invariant()
    def the_records_are_true(self) -> None:
        """Everything is read once, with plain statements: it is done after every step."""
        before, now = self.before, self._everything()
        self.before = now
        _moves_are_legal(before, now)
        _counters_equal_a_recount(now)
        _what_is_over_has_nothing_alive(now)
        _nobody_waits_for_nothing(now)
        _each_running_task_has_the_one_open_attempt(now)
        _a_done_item_has_the_result_of_its_generation(now)
        _an_assembly_covers_each_frame_once(now)
        _nothing_that_is_needed_is_swept(now)

    def teardown(self) -> None:
        """Left to honest people and workers, every job comes to an end."""
        for job in self._everything()["jobs"]:
            if job.state == JobState.PAUSED:
                ledger.resume_job(self.db, job.id)
        for _ in range(60):
            if all(job.state in JOB_OVER for job in self._everything()["jobs"]):
                return
            self._honest_round()
            self.the_records_are_true()
        raise AssertionError(f"work that never ends: {self._everything()}")

    def _honest_round(self) -> None:
        self.wait(61.0)
        ledger.reap(self.db)
        self.the_records_are_true()
        for boot_id in SIGNATURES:
            ledger.heartbeat(self.db, boot_id, None, 0, LEASE_SECONDS)
        self.plan(keep=False, signature="sig")
        bells = ledger.dispatch(self.db, LEASE_SECONDS) + ledger.ring_again(self.db, 10.0, LEASE_SECONDS)
        self.the_records_are_true()
        for bell in bells:
            for boot_id in ("w2", "w1"):
                lease = ledger.lease(self.db, bell.task_id, bell.epoch, boot_id, SIGNATURES[boot_id], LEASE_SECONDS)
                self.the_records_are_true()
                while lease and self._holds(lease):
                    self._done(ledger.read_assignment(self.db, lease), lease)
        self.fold_and_finish()

    # -- what is looked at

    def _everything(self) -> Records:
        with self.db.read() as connection:
            cursor = connection.connection.cursor()  # as it is done thousands of times
            return {
                name: [
                    row._make(found)
                    for found in cursor.execute(f"SELECT {', '.join(row._fields)} FROM {name} ORDER BY 1")
                ]
                for name, row in ROWS.items()
            }

    def _task(self, task_id: int) -> Any:
        with self.db.read() as connection:
            return connection.exec_driver_sql(f"SELECT * FROM tasks WHERE id = {task_id}").one()

    def _holds(self, lease: ledger.Lease) -> bool:
        row = self._task(lease.task_id)
        return (row.state, row.attempt, row.worker) == (TaskState.RUNNING, lease.attempt, lease.boot_id)


def _moves_are_legal(before: Records, now: Records) -> None:
    """Compare with the records before the step."""
    tasks = {row.id: row.state for row in before["tasks"]}
    for row in now["tasks"]:
        old = tasks.get(row.id, row.state)
        assert row.state == old or row.state in TASK_MOVES[TaskState(old)], f"{old} -> {row}"
    items = {row.id: row for row in before["items"]}
    for row in now["items"]:
        was = items.get(row.id, row)
        assert row.state == was.state or row.state in ITEM_MOVES[ItemState(was.state)], f"{was.state} -> {row}"
        anew = was.state in ITEM_OVER and row.state == ItemState.PENDING
        assert row.generation == was.generation + anew, row
    jobs = {row.id: row.state for row in before["jobs"]}
    for row in now["jobs"]:
        old = jobs.get(row.id, row.state)
        assert row.state == old or row.state in JOB_MOVES[JobState(old)], f"{old} -> {row}"


def _counters_equal_a_recount(now: Records) -> None:
    for job in now["jobs"]:
        rows = [row for name in ("job_progress", "counter_deltas") for row in now[name] if row.job_id == job.id]
        counted = {name: sum(getattr(row, name) for row in rows) for name in COUNTERS if name != "bytes_out"}
        items = [row for row in now["items"] if row.job_id == job.id]
        states = Counter(row.state for row in items)
        wanted = {f"items_{state}": states[state] for state in ItemState}
        wanted |= {name: sum(getattr(row, name) for row in items) for name in ("frames_total", "frames_done")}
        assert counted == {name: wanted[name] for name in counted}


def _what_is_over_has_nothing_alive(now: Records) -> None:
    items, jobs = {row.id: row for row in now["items"]}, {row.id: row.state for row in now["jobs"]}
    for task in now["tasks"]:
        if task.item_id is not None and task.state in TASK_LIVE:
            item = items[task.item_id]
            assert (item.state in ITEM_LIVE, task.generation) == (True, item.generation), (task, item)
    assert [row for row in items.values() if row.state in ITEM_LIVE and jobs[row.job_id] in JOB_OVER] == []
    cancelled = {job_id for job_id, state in jobs.items() if state == JobState.CANCELLED}
    assert [row for row in now["tasks"] if row.state in TASK_LIVE and row.job_id in cancelled] == []


def _nobody_waits_for_nothing(now: Records) -> None:
    """An item that is not over has a task that will move it, or a mark for the planner."""
    live = [row for row in now["tasks"] if row.state in TASK_LIVE]
    moved = {row.item_id for row in live} | {row.id for row in now["items"] if row.plan_due_at is not None}
    bundles = {row.id for row in live if row.item_id is None}
    for row in now["items"]:
        assert row.state in ITEM_OVER or row.id in moved or row.task_id in bundles, row


def _each_running_task_has_the_one_open_attempt(now: Records) -> None:
    running = [(row.id, row.attempt, row.worker) for row in now["tasks"] if row.state == TaskState.RUNNING]
    opened = [(row.task_id, row.attempt, row.worker) for row in now["attempts"] if row.outcome is None]
    assert sorted(running) == sorted(opened)
    assert [row for row in now["tasks"] if row.lost_count < 0] == []


def _a_done_item_has_the_result_of_its_generation(now: Records) -> None:
    found = Counter((row.item_id, row.generation) for row in now["results"])
    assert set(found.values()) <= {1}
    assert {(row.id, row.generation) for row in now["items"] if row.state == ItemState.DONE} <= set(found)


def _an_assembly_covers_each_frame_once(now: Records) -> None:
    for task in now["tasks"]:
        if task.kind == TaskKind.ASSEMBLE and task.state in TASK_LIVE:
            spans = sorted((row.start_frame, row.stop_frame) for row in _counted(now, task.item_id, task.generation)
                           if row.kind == TaskKind.RESTORE)  # fmt: skip
            assert [frame for start, stop in spans for frame in range(start, stop)] == list(range(FRAMES))


def _counted(now: Records, item_id: int, generation: int) -> list[Any]:
    """Tasks of a generation of a reel whose results count."""
    return [row for row in now["tasks"] if (row.item_id, row.generation) == (item_id, generation)
            and row.state == TaskState.DONE and not row.dropped]  # fmt: skip


def _nothing_that_is_needed_is_swept(now: Records) -> None:
    texts = [row.result_json for row in now["results"]]
    for item in now["items"]:
        if item.state == ItemState.RUNNING:
            texts += [row.result_json for row in _counted(now, item.id, item.generation)]
    needed = [blob["key"] for text in texts if text for blob in json.loads(text)["outputs"].values()]
    names = [f"/t{row.id}-a{row.attempt}-{row.worker}/" for row in now["tasks"] if row.state == TaskState.RUNNING]
    for row in now["sweeps"]:
        assert not any(key.startswith(row.prefix) for key in needed), row
        assert not any(name in row.prefix for name in names), row


Machine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
test_the_ledger_stays_true = Machine.TestCase
