"""One command, no server: the loop and its workers, for as long as one job lasts or until they are stopped."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from db import ledger, progress
from db.broker import CeleryBroker
from db.errors import InputError, OutageError
from db.progress import ProgressRow
from db.session import Database
from db.settings import Settings, make_home
from db.states import JOB_OVER, JobState, WorkerState
from db.store.base import Store
from orchestrator.loop import BUSY_SECONDS, Loop
from orchestrator.processes.fleet import Fleet
from orchestrator.processes.spawning import SpareWorker

SHOW_SECONDS = 0.5
"""Pause between two looks at the progress."""


def run_job(
    settings: Settings,
    database: Database,
    store: Store,
    job_id: int,
    *,
    on_progress: Callable[[ProgressRow, str], None],
    on_upkeep: Callable[[], None] = lambda: None,
    spare: SpareWorker | None = None,
) -> JobState:
    """Work until a job is over or paused; returns its state.

    Interrupted, it leaves what is finished: the same call goes on from there, and segments that were in work begin
    anew. ``on_progress`` gets the counts, and what the work waits for, or nothing; ``on_upkeep`` is called as
    :class:`Loop` says; ``spare`` becomes the first worker.

    Raises:
        InputError: ``HOME_IN_USE`` when another run works in this home; ``WRONG_STATE`` when the job has not taken in
            its whole manifest.
        KeyboardInterrupt: After the workers have left in order.
    """
    _check_taken_in(database, job_id)
    with _own_home(settings, database, store, on_upkeep, spare) as (loop, fleet):
        if _is_over(database, job_id):
            return progress.job(database, job_id).state
        # A worker takes seconds to start, and as many start beside one another as there are cores to do it.
        with _working_fleet(loop, fleet, progress.useful_workers(database)):
            _run_until_over(settings, loop, fleet, job_id, on_progress)
    on_progress(progress.progress(database, job_id), "")
    return progress.job(database, job_id).state


def work(
    settings: Settings,
    database: Database,
    store: Store,
    stop: threading.Event,
    *,
    on_wait: Callable[[str], None],
    on_upkeep: Callable[[], None] = lambda: None,
) -> None:
    """Do whatever jobs come, by priority, until ``stop`` is set; what is in work then is handed back in order.

    ``on_wait`` is told what the work waits for, or nothing, again and again; ``on_upkeep`` is called as :class:`Loop`
    says.

    Raises:
        InputError: ``HOME_IN_USE`` when another run works in this home.
    """
    with _own_home(settings, database, store, on_upkeep) as (loop, fleet), _working_fleet(loop, fleet):
        looked_at = float("-inf")
        while not stop.is_set():
            busy = loop.tick()
            if time.monotonic() - looked_at > SHOW_SECONDS:
                looked_at = time.monotonic()
                fleet.restart_dead()
                on_wait(loop.waits_for)
            stop.wait(BUSY_SECONDS if busy else settings.tick_seconds)


@contextmanager
def _own_home(
    settings: Settings,
    database: Database,
    store: Store,
    on_upkeep: Callable[[], None],
    spare: SpareWorker | None = None,
) -> Iterator[tuple[Loop, Fleet]]:
    """Hold a home for one loop and its workers, which are not started yet."""
    make_home(settings)
    with lock_home(settings.home):
        _release_dead_workers(database)
        # The lock speaks for the database inside the home; one on a server may have an orchestrator elsewhere.
        alone = not settings.database_url
        if alone:
            with suppress(OutageError):  # rates are for people
                ledger.forget_rates(database)
        loop = Loop(database, CeleryBroker(settings), store, settings, alone=alone, on_upkeep=on_upkeep)
        yield loop, Fleet(settings, database, log_folder=settings.logs, spare=spare)


@contextmanager
def _working_fleet(loop: Loop, fleet: Fleet, count: int | None = None) -> Iterator[None]:
    """Have workers while something goes on; ``count`` of them at first, if it is given."""
    fleet.start(count)
    try:
        yield
    finally:
        _stop_fleet(fleet)
        loop.close_up()


def _stop_fleet(fleet: Fleet) -> None:
    """Let the workers leave in order; who interrupts a second time does not want to wait for that."""
    try:
        fleet.stop()
    except KeyboardInterrupt:
        fleet.kill()
        raise


def _run_until_over(
    settings: Settings, loop: Loop, fleet: Fleet, job_id: int, on_progress: Callable[[ProgressRow, str], None]
) -> None:
    looked_at = float("-inf")
    row = progress.progress(loop.database, job_id)
    while True:
        busy = loop.tick()
        if time.monotonic() - looked_at > SHOW_SECONDS or _has_ended(loop.database, job_id):
            looked_at = time.monotonic()
            fleet.restart_dead()
            try:
                fleet.grow(progress.useful_workers(loop.database))
                row = progress.progress(loop.database, job_id)
                on_progress(row, loop.waits_for or progress.outage(loop.database, job_id))
                if _is_over(loop.database, job_id):
                    return
            except OutageError as error:
                on_progress(row, error.message)
        if not busy and _has_no_worker(loop.database, settings):
            _await_worker(loop.database, settings)
        else:
            time.sleep(BUSY_SECONDS if busy else settings.tick_seconds)


def _await_worker(database: Database, settings: Settings) -> None:
    """Wait for the next round, but no longer than until a first worker is there: it is given work at once."""
    end = time.monotonic() + settings.tick_seconds
    while time.monotonic() < end and _has_no_worker(database, settings):
        time.sleep(min(BUSY_SECONDS, settings.tick_seconds))


def _has_no_worker(database: Database, settings: Settings) -> bool:
    with suppress(OutageError):
        return not ledger.slots(database, settings.lease_seconds)
    return False


def _check_taken_in(database: Database, job_id: int) -> None:
    """Refuse to wait for a job that nobody may be taking in any more."""
    job = progress.job(database, job_id)
    if job.state is JobState.INGESTING:
        count = progress.progress(database, job_id).items_total
        raise InputError(
            f"Job {job_id} has taken in {count} items of {job.manifest_uri!r:.300}, and not yet all of them",
            code="WRONG_STATE",
            remedy="If no submission of it is at work, submit the manifest again with the same recipe, and it goes on; "
            f"or end the job with `reelwright cancel {job_id}`.",
        )


def _has_ended(database: Database, job_id: int) -> bool:
    with suppress(OutageError):
        return _is_over(database, job_id)
    return False


def _is_over(database: Database, job_id: int) -> bool:
    state = progress.job(database, job_id).state
    return state in JOB_OVER or state is JobState.PAUSED


def _release_dead_workers(database: Database) -> None:
    """Free what an earlier run left: this home is ours alone now, so every worker of its records is gone."""
    for worker in progress.workers(database):
        if worker.state == WorkerState.LIVE:
            ledger.release_dead_worker(database, worker.boot_id, forgive=True)


@contextmanager
def lock_home(home: Path) -> Iterator[None]:
    """Hold the home's lock; the kernel lets go of it however the process ends.

    Raises:
        InputError: ``HOME_IN_USE``.
    """
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"Another run or server works in {home}", code="HOME_IN_USE") from error
        yield
