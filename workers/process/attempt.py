"""The whole life of one attempt: take, read, work, answer.

``run`` is the story; everything else is one step of it. Whatever a task raises becomes its outcome here.
"""

from __future__ import annotations

import errno
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from db import ledger
from db.errors import (
    CODES,
    DatabaseUnavailable,
    DiskFull,
    InputError,
    LeaseLost,
    OutageError,
    OutOfMemoryError,
    PoisonFrameError,
    PoisonItemError,
    ReelwrightError,
    StopWork,
    lacks_room,
    os_error,
)
from db.records import Assignment, ItemResult, ItemView
from db.scratch import scratch_folder
from db.session import Database
from db.settings import Settings
from db.states import ItemState, TaskKind
from db.store.base import Store
from db.store.keys import attempt_prefix
from workers import malloc
from workers.memory import translate_memory_errors
from workers.process import isolation
from workers.process.heartbeat import Heartbeat
from workers.process.loading import Loading, ReelWork, StillWork
from workers.process.rights import source_mode
from workers.tasks import disk_space, probe
from workers.tasks.disk_space import SpaceWatch
from workers.workbench import Workbench

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WorkerContext:
    """What one worker process works with, from its start to its end."""

    database: Database
    store: Store
    settings: Settings
    heartbeat: Heartbeat
    boot_id: str
    loading: Loading


def run(context: WorkerContext, task_id: int, epoch: int) -> None:
    """Answer one doorbell. A stale, duplicated or forged one changes nothing."""
    asked_at = time.monotonic()
    lease = _take_lease(context, task_id, epoch)
    if lease is None:
        return
    with context.heartbeat.hold(lease, asked_at):
        try:
            with scratch_folder(context.settings.scratch_folder, context.boot_id) as scratch:
                assignment = ledger.read_assignment(context.database, lease)
                bench = _workbench(context, assignment, scratch)
                with translate_memory_errors():
                    _run_task(context, lease, assignment, bench)
        except Exception as error:
            _report_outcome(context, lease, error)
    malloc.trim()


def _take_lease(context: WorkerContext, task_id: int, epoch: int) -> ledger.Lease | None:
    if context.heartbeat.leaving:
        return None  # Celery still hands out what comes in while it shuts down; it is rung again elsewhere
    try:
        seconds = context.settings.lease_seconds
        return ledger.lease(context.database, task_id, epoch, context.boot_id, context.loading.signature, seconds)
    except DatabaseUnavailable as error:
        log.warning("doorbell dropped", task=task_id, error=error.message)  # it is rung again
        return None


def _workbench(context: WorkerContext, assignment: Assignment, scratch: Path) -> Workbench:
    return Workbench(
        store=context.store,
        scratch=scratch,
        settings=context.settings,
        key_prefix=assignment.key_prefix,
        mode=source_mode(assignment.item.source) if assignment.item else 0o444,
        report=SpaceWatch(scratch, context.settings.scratch_quota_bytes, context.heartbeat.advance),
    )


def _run_task(context: WorkerContext, lease: ledger.Lease, assignment: Assignment, bench: Workbench) -> None:
    if assignment.kind is TaskKind.PROBE:
        work: ReelWork = probe.probe
    else:
        equipment = context.loading.equipment()
        bench = replace(bench, device=equipment.device)
        if assignment.item is None:
            _restore_bundle(context, lease, assignment, bench, equipment.restore_still)
            return
        work = equipment.work[assignment.kind]
    result = isolation.perform(assignment, bench) if assignment.isolate else work(assignment, bench)
    if isinstance(result, ItemResult):
        _commit(context, lambda: ledger.complete_item(context.database, lease, result))
    else:
        _commit(context, lambda: ledger.complete_task(context.database, lease, result))


def _restore_bundle(
    context: WorkerContext, lease: ledger.Lease, assignment: Assignment, bench: Workbench, work: StillWork
) -> None:
    for still in assignment.stills:
        bench.advance()
        still_bench = replace(
            bench,
            key_prefix=_still_prefix(assignment, still),
            scratch=bench.scratch / str(still.id),
            mode=source_mode(still.source),
        )
        still_bench.scratch.mkdir()
        try:
            with translate_memory_errors():
                result = _restore_still(assignment, still, still_bench, work)
        except (InputError, OutOfMemoryError, PoisonItemError) as error:
            failure, state = _failure(error), _end_state(error)
            _commit(context, lambda i=still.id, f=failure, s=state: ledger.fail_still(context.database, lease, i, f, s))  # type: ignore[misc]
        else:
            _commit(context, lambda i=still.id, m=result: ledger.complete_still(context.database, lease, i, m))  # type: ignore[misc]
        shutil.rmtree(still_bench.scratch, ignore_errors=True)
    _commit(context, lambda: ledger.finish_bundle(context.database, lease))


def _restore_still(assignment: Assignment, still: ItemView, bench: Workbench, work: StillWork) -> ItemResult:
    result = isolation.perform(assignment, bench, still) if assignment.isolate else work(still, bench)
    assert isinstance(result, ItemResult)
    return result


def _end_state(error: ReelwrightError) -> ItemState:
    """Return what becomes of an item that an error ends: what kills processes is kept from further ones."""
    return ItemState.QUARANTINED if isinstance(error, PoisonItemError) else ItemState.FAILED


def _still_prefix(assignment: Assignment, still: ItemView) -> str:
    name = assignment.key_prefix.rpartition("/")[2]
    return attempt_prefix(assignment.job_id, still.id, still.generation, assignment.kind, None, name)


def _report_outcome(context: WorkerContext, lease: ledger.Lease, error: Exception) -> None:
    """Turn whatever ended the work into the one outcome that it deserves."""
    database, settings = context.database, context.settings
    try:
        if isinstance(error, LeaseLost):
            log.info("result refused", task=lease.task_id, attempt=lease.attempt)
        elif isinstance(error, StopWork):
            _commit(context, lambda: ledger.release(database, lease, message=type(error).__name__))
        elif (outage := _outage(context, error)) is not None:
            log.warning("outage", task=lease.task_id, code=outage.code, error=outage.message)
            _commit(
                context,
                lambda: ledger.release(
                    database, lease, code=outage.code, message=outage.message, pause_seconds=settings.backoff_seconds
                ),
            )
        elif isinstance(error, PoisonFrameError):
            _commit(context, lambda: ledger.quarantine_frame(database, lease, error.frame, error.message))
        elif isinstance(error, InputError | PoisonItemError):
            _commit(context, lambda: ledger.fail_item(database, lease, _failure(error), _end_state(error)))
        elif isinstance(error, OutOfMemoryError):
            _commit(context, lambda: ledger.replan_smaller(database, lease, _failure(error)))
        else:
            _retry(context, lease, error)
    except LeaseLost:
        log.info("outcome refused", task=lease.task_id, attempt=lease.attempt)


def _outage(context: WorkerContext, error: Exception) -> OutageError | None:
    """Return the outage that ended an attempt; none when something else did.

    A disk that is full although the attempt's own scratch is gone is nobody's failure: the work waits for room. One
    that has room again was filled by the work itself, which is an attempt like others.
    """
    if isinstance(error, OutageError):
        return error
    if lacks_room(error) and (full := disk_space.full_folder(context.store, context.settings)) is not None:
        return DiskFull(f"There is no room in {full}; work goes on when there is")
    return None


def _retry(context: WorkerContext, lease: ledger.Lease, error: Exception) -> None:
    settings = context.settings
    if not isinstance(error, ReelwrightError):
        log.error("unknown error", task=lease.task_id, trace=traceback.format_exc())
    _commit(
        context,
        lambda: ledger.retry(
            context.database,
            lease,
            _failure(error),
            max_attempts=settings.max_attempts,
            backoff_seconds=settings.backoff_seconds,
        ),
    )


_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO})
"""What a disk answers, and nobody's code is to blame for."""


def _failure(error: Exception) -> ledger.Failure:
    if lacks_room(error) and not isinstance(error, ReelwrightError):
        return ledger.Failure("NO_SPACE", f"{type(error).__name__}: {error}"[:500], CODES["NO_SPACE"].remedy)
    if isinstance(error, OSError) and error.errno in _REFUSED and error.filename:
        error = os_error("", error)
    if isinstance(error, ReelwrightError):
        return ledger.Failure(error.code, error.message, error.remedy)
    return ledger.Failure("WORKER_FAULT", f"{type(error).__name__}: {error}"[:500], CODES["WORKER_FAULT"].remedy)


def _commit(context: WorkerContext, transaction: Callable[[], None]) -> None:
    """Run a transaction; while the database is away try again, until the lease's own end ends the process."""
    while True:
        try:
            return transaction()
        except DatabaseUnavailable as error:
            log.warning("waiting for the database", error=error.message)
            time.sleep(0.5)
