"""The whole life of one attempt: take, read, work, answer.

``run`` is the story; everything else is one step of it. The only place that catches broadly.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import structlog

from db import ledger
from db.errors import (
    CODES,
    DatabaseUnavailable,
    InputError,
    LeaseLost,
    OutageError,
    OutOfMemoryError,
    PoisonFrameError,
    ReelwrightError,
    StopWork,
)
from db.records import Assignment, Item, ItemResult, TaskResult
from db.session import Database
from db.settings import Settings
from db.states import TaskKind
from db.store.base import Store
from db.store.keys import attempt_prefix
from workers import malloc
from workers.process import isolation
from workers.process.heartbeat import Pulse
from workers.tasks import assemble, inspect, merge, probe, restore
from workers.tasks.disk_space import Watch
from workers.workbench import Workbench

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Post:
    """What one worker process works with, from its start to its end."""

    database: Database
    store: Store
    settings: Settings
    pulse: Pulse
    boot_id: str
    signature: str
    device: str


def run(post: Post, task_id: int, epoch: int) -> None:
    """Answer one doorbell. A stale, duplicated or forged one changes nothing."""
    asked_at = time.monotonic()
    lease = _take(post, task_id, epoch)
    if lease is None:
        return
    with post.pulse.holding(lease, asked_at):
        try:
            with _scratch(post) as scratch:
                assignment = ledger.read_assignment(post.database, lease)
                bench = _bench(post, assignment, scratch)
                _work(post, lease, assignment, bench)
        except Exception as error:
            _answer(post, lease, error)
    malloc.give_back()


def _take(post: Post, task_id: int, epoch: int) -> ledger.Lease | None:
    if post.pulse.leaving:
        return None  # Celery still hands out what comes in while it shuts down; it is rung again elsewhere
    try:
        seconds = post.settings.lease_seconds
        return ledger.lease(post.database, task_id, epoch, post.boot_id, post.signature, seconds)
    except DatabaseUnavailable as error:
        log.warning("doorbell dropped", task=task_id, error=error.message)  # it is rung again
        return None


@contextmanager
def _scratch(post: Post) -> Iterator[Path]:
    post.settings.scratch_folder.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{post.boot_id}-", dir=post.settings.scratch_folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bench(post: Post, assignment: Assignment, scratch: Path) -> Workbench:
    return Workbench(
        store=post.store,
        scratch=scratch,
        settings=post.settings,
        key_prefix=assignment.key_prefix,
        device=post.device,
        report=Watch(scratch, post.settings.scratch_quota_bytes, post.pulse.moved),
    )


def _work(post: Post, lease: ledger.Lease, assignment: Assignment, bench: Workbench) -> None:
    if assignment.item is None:
        _work_on_bundle(post, lease, assignment, bench)
    elif assignment.kind is TaskKind.ASSEMBLE:
        made = assemble.assemble(assignment, bench)
        _write(post, lambda: ledger.complete_item(post.database, lease, made))
    else:
        result = _task_work(assignment)(assignment, bench)
        _write(post, lambda: ledger.complete_task(post.database, lease, result))


def _task_work(assignment: Assignment) -> Callable[[Assignment, Workbench], TaskResult]:
    if assignment.kind is TaskKind.RESTORE:
        return isolation.restore_segment if assignment.isolate else restore.restore_segment
    return {
        TaskKind.PROBE: probe.probe,
        TaskKind.INSPECT: inspect.inspect,
        TaskKind.MERGE: merge.merge,
    }[assignment.kind]


def _work_on_bundle(post: Post, lease: ledger.Lease, assignment: Assignment, bench: Workbench) -> None:
    for still in assignment.stills:
        bench.moved()
        own = replace(bench, key_prefix=_prefix_of_still(assignment, still), scratch=bench.scratch / str(still.id))
        own.scratch.mkdir()
        try:
            made: ItemResult = restore.restore_still(still, own)
        except (InputError, OutOfMemoryError, MemoryError) as error:
            failure = _failure(error)
            _write(post, lambda i=still.id, f=failure: ledger.fail_still(post.database, lease, i, f))  # type: ignore[misc]
        else:
            _write(post, lambda i=still.id, m=made: ledger.complete_still(post.database, lease, i, m))  # type: ignore[misc]
        shutil.rmtree(own.scratch, ignore_errors=True)
    _write(post, lambda: ledger.finish_bundle(post.database, lease))


def _prefix_of_still(assignment: Assignment, still: Item) -> str:
    name = assignment.key_prefix.rpartition("/")[2]
    return attempt_prefix(assignment.job_id, still.id, still.generation, assignment.kind, None, name)


def _answer(post: Post, lease: ledger.Lease, error: Exception) -> None:
    """Turn whatever ended the work into the one outcome that it deserves."""
    database, settings = post.database, post.settings
    try:
        if isinstance(error, LeaseLost):
            log.info("result refused", task=lease.task_id, attempt=lease.attempt)
        elif isinstance(error, StopWork):
            _write(post, lambda: ledger.release(database, lease, message=type(error).__name__))
        elif isinstance(error, OutageError):
            log.warning("outage", task=lease.task_id, code=error.code, error=error.message)
            pause = settings.backoff_seconds
            _write(post, lambda: ledger.release(database, lease, message=error.message, pause_seconds=pause))
        elif isinstance(error, PoisonFrameError):
            _write(post, lambda: ledger.quarantine_frame(database, lease, error.frame, error.message))
        elif isinstance(error, InputError):
            _write(post, lambda: ledger.fail_item(database, lease, _failure(error)))
        elif isinstance(error, OutOfMemoryError | MemoryError):
            _write(post, lambda: ledger.shrink(database, lease, _failure(error)))
        else:
            _retry(post, lease, error)
    except LeaseLost:
        log.info("outcome refused", task=lease.task_id, attempt=lease.attempt)


def _retry(post: Post, lease: ledger.Lease, error: Exception) -> None:
    settings = post.settings
    if not isinstance(error, ReelwrightError):
        log.error("unknown error", task=lease.task_id, trace=traceback.format_exc())
    _write(
        post,
        lambda: ledger.retry(
            post.database,
            lease,
            _failure(error),
            max_attempts=settings.max_attempts,
            backoff_seconds=settings.backoff_seconds,
        ),
    )


def _failure(error: Exception) -> ledger.Failure:
    if isinstance(error, ReelwrightError):
        return ledger.Failure(error.code, error.message, error.remedy)
    code = "OUT_OF_MEMORY" if isinstance(error, MemoryError) else "WORKER_FAULT"
    return ledger.Failure(code, f"{type(error).__name__}: {error}"[:500], CODES[code].remedy)


def _write(post: Post, transaction: Callable[[], None]) -> None:
    """Run a transaction; while the database is away try again, until the lease's own end ends the process."""
    while True:
        try:
            return transaction()
        except DatabaseUnavailable as error:
            log.warning("waiting for the database", error=error.message)
            time.sleep(0.5)
