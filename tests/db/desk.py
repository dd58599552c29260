"""A desk for tests of the ledger: submits jobs, plays worker, and knows what the counters must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from db import ledger, progress
from db.recipe import Recipe, resolve
from db.records import Blob, ItemResult, ReelFacts, Source, TaskResult
from db.session import Database
from db.states import ItemKind, TaskKind
from db.tables import Item, Job, Result, Task
from tests.support.recount import recount

LEASE_SECONDS = 60.0
SIGNATURE = "sig"


def blob(name: str = "b") -> Blob:
    return Blob(key=f"jobs/1/{name}", sha256="0" * 64, bytes=10)


def still(seq: int) -> ledger.NewLine:
    return ledger.NewLine(seq, f"still{seq}", seq + 1, Source(uri=f"/a/{seq}.png", kind=ItemKind.STILL))


def reel(seq: int) -> ledger.NewLine:
    return ledger.NewLine(seq, f"reel{seq}", seq + 1, Source(uri=f"/a/{seq}.mkv", kind=ItemKind.REEL))


def facts(frame_count: int) -> ReelFacts:
    return ReelFacts(
        frame_count=frame_count, rate="24", width=16, height=16, depth_bits=8, pixel_format="gray", mono=True, bytes=1,
        sha256="0" * 64, index=blob("index"),
    )  # fmt: skip


@dataclass
class Desk:
    """One database, seen by a person who submits and a worker who works."""

    db: Database
    boot_id: str = "w1"

    def submit(
        self, lines: Sequence[ledger.NewLine], *, recipe: Recipe | None = None, bundle: int = 32, key: str = "k"
    ) -> int:
        request = ledger.JobRequest("job", "manifest", key * 64, recipe or resolve("identity"))
        job = ledger.open_job(self.db, request)
        ledger.add_lines(self.db, job.id, lines, bundle_stills=bundle)
        ledger.close_ingest(self.db, job.id)
        return job.id

    def hire(self, boot_id: str = "w1", signature: str = SIGNATURE) -> None:
        self.boot_id = boot_id
        ledger.register_worker(self.db, ledger.WorkerIdentity(boot_id, "host", 1, "cpu", signature, {}))

    def lease(self, bell: ledger.Doorbell, boot_id: str | None = None) -> ledger.Lease | None:
        return ledger.lease(self.db, bell.task_id, bell.epoch, boot_id or self.boot_id, SIGNATURE, LEASE_SECONDS)

    def dispatch(self) -> list[ledger.Doorbell]:
        return ledger.dispatch(self.db, LEASE_SECONDS)

    def next_lease(self) -> ledger.Lease:
        """Ring, and take the first task that is queued."""
        self.dispatch()
        task = self.tasks(state="queued")[0]
        lease = self.lease(ledger.Doorbell(task.id, task.dispatch_epoch, task.queue))
        assert lease is not None
        return lease

    def open_tasks(self) -> list[Any]:
        """Tasks that wait for a worker."""
        return [task for task in self.tasks() if task.state in {"ready", "queued"}]

    def later(self, seconds: float, boot_id: str | None = None) -> Desk:
        """The same desk as seen ``seconds`` from now by the database's clock."""
        with self.db.read() as connection:
            now = float(connection.scalar(select(self.db.now)) or 0)
        return Desk(Database(self.db.engine, clock=now + seconds), boot_id or self.boot_id)

    def plan(self, *spans: tuple[int, int], batch_frames: int = 8, handle_frames: int = 0) -> None:
        """Plan restore tasks for the one reel that is due."""
        (view,) = ledger.due_reels(self.db)
        tasks = [ledger.NewTask(TaskKind.RESTORE, *span) for span in spans]
        assert ledger.add_tasks(self.db, view, ledger.ReelPlan(tasks, SIGNATURE, batch_frames, handle_frames))

    def probed_reel(self, frame_count: int, *spans: tuple[int, int], handle_frames: int = 0) -> int:
        """Submit one reel, probe it, and plan its restore tasks; returns the job."""
        job_id = self.submit([reel(0)])
        self.hire()
        ledger.complete_task(self.db, self.next_lease(), TaskResult(facts=facts(frame_count)))
        self.plan(*spans, handle_frames=handle_frames)
        return job_id

    def task(self, task_id: int) -> Any:
        with self.db.read() as connection:
            return connection.execute(select(Task.__table__).where(Task.id == task_id)).one()

    def tasks(self, **which: Any) -> list[Any]:
        with self.db.read() as connection:
            wanted = select(Task.__table__).filter_by().order_by(Task.id)
            for name, value in which.items():
                wanted = wanted.where(getattr(Task, name) == value)
            return list(connection.execute(wanted))

    def items(self) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.execute(select(Item.__table__).order_by(Item.seq)))

    def results(self) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.execute(select(Result.__table__).order_by(Result.id)))

    def job_state(self, job_id: int) -> str:
        with self.db.read() as connection:
            return str(connection.scalar(select(Job.state).where(Job.id == job_id)))

    def set_state(self, task_id: int, state: str) -> None:
        """Put a task into a state, past all rules."""
        with self.db.write() as connection:
            connection.execute(update(Task).where(Task.id == task_id).values(state=state))

    def assert_counted(self, job_id: int) -> None:
        """The counters equal a recount, before and after folding."""
        for _ in range(2):
            shown, counted = progress.progress(self.db, job_id), recount(self.db, job_id)
            assert {name: getattr(shown, name) for name in counted} == counted
            ledger.fold_counters(self.db)


def done_still() -> ItemResult:
    return ItemResult(outputs={"still": blob("still")}, scores={"sharpness": 1.0})
