"""One command, no server: the loop and its workers for as long as one job lasts."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from db import ledger, progress
from db.broker import CeleryBroker
from db.errors import InputError
from db.progress import Progress
from db.session import Database
from db.settings import Settings
from db.states import JOB_OVER, JobState
from db.store.base import Store
from orchestrator.loop import BUSY_SECONDS, Loop
from orchestrator.supervise import Fleet

SHOW_SECONDS = 0.5
"""Pause between two looks at the progress."""


def run_job(
    settings: Settings,
    database: Database,
    store: Store,
    job_id: int,
    *,
    on_progress: Callable[[Progress], None],
) -> JobState:
    """Work until a job is over or paused; returns its state.

    Interrupted, it leaves everything where it was: the same call goes on from there.

    Raises:
        InputError: ``HOME_IN_USE`` when another run works in this home.
        KeyboardInterrupt: After the workers have left in order.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with only_one(settings.home):
        _free_the_dead(database)
        fleet = Fleet(settings, database, log_folder=settings.logs)
        loop = Loop(database, CeleryBroker(settings), store, settings)
        if _over(database, job_id):
            return progress.job(database, job_id).state
        fleet.start()
        try:
            _work(settings, loop, fleet, job_id, on_progress)
        finally:
            fleet.stop()
            ledger.fold(database)
            ledger.finish_jobs(database)
            loop.resign()
    on_progress(progress.progress(database, job_id))
    return progress.job(database, job_id).state


def _work(settings: Settings, loop: Loop, fleet: Fleet, job_id: int, on_progress: Callable[[Progress], None]) -> None:
    looked_at = float("-inf")
    while True:
        busy = loop.tick()
        if time.monotonic() - looked_at > SHOW_SECONDS:
            looked_at = time.monotonic()
            fleet.look_after()
            on_progress(progress.progress(loop.database, job_id))
            if _over(loop.database, job_id):
                return
        time.sleep(BUSY_SECONDS if busy else settings.tick_seconds)


def _over(database: Database, job_id: int) -> bool:
    state = progress.job(database, job_id).state
    return state in JOB_OVER or state is JobState.PAUSED


def _free_the_dead(database: Database) -> None:
    """Free what an earlier run left: this home is ours alone now, so every worker of its records is gone."""
    for worker in progress.workers(database):
        if worker.state == "live":
            ledger.worker_gone(database, worker.boot_id, forgive=True)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home's lock; the kernel lets go of it however the process ends.

    Raises:
        InputError: ``HOME_IN_USE``.
    """
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"Another run works in {home}", code="HOME_IN_USE") from error
        yield
