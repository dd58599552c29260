"""One worker process: it registers, beats, and answers doorbells until it is told to leave.

One process is one slot: Celery's solo pool runs a task inside the consumer, so a message is fetched only when the
process is free, on every transport, and a process that dies takes exactly one task with it.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog

from db import ledger, queues, session
from db.broker import celery_app
from db.doorbells import LOOK_NAME, TASK_NAME
from db.errors import DatabaseUnavailable, InputError
from db.settings import Settings
from db.store import open_store
from workers import device as devices
from workers.process.attempt import WorkerContext, run
from workers.process.heartbeat import Heartbeat
from workers.process.isolation import end_with_parent
from workers.process.looking import LookDesk

BOOT_ID = "REELWRIGHT_BOOT_ID"
log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Work until told to leave.

    Raises:
        InputError: The database has another schema, or a setting is wrong.
    """
    end_with_parent()
    device = devices.open_device(settings.device)
    devices.make_deterministic(device)
    boot_id = os.environ.get(BOOT_ID) or uuid.uuid4().hex[:12]
    with session.open_database(settings) as database:
        _retry_while_away(lambda: session.check(database))
        store = open_store(settings)
        signature = devices.signature(device)
        heartbeat = Heartbeat(database, settings, boot_id)
        identity = ledger.WorkerIdentity(
            boot_id, socket.gethostname(), os.getpid(), device, signature, devices.versions()
        )
        _retry_while_away(lambda: ledger.register_worker(database, identity))
        heartbeat.start()
        context = WorkerContext(database, store, settings, heartbeat, boot_id, signature, device)
        try:
            _consume(settings, context)
        finally:
            heartbeat.stop()
            ledger.sign_off_worker(database, boot_id)


def _consume(settings: Settings, context: WorkerContext) -> None:
    from celery.signals import worker_shutting_down

    names = (queues.FINISH, queues.restore_queue(context.signature), queues.RESTORE, queues.LIGHT)
    app = celery_app(settings, names)
    _register(app, context)

    def on_shutdown(**_: Any) -> None:
        context.heartbeat.begin_shutdown()

    worker_shutting_down.connect(on_shutdown, weak=False)
    log.info("worker ready", boot_id=context.boot_id, device=context.device, signature=context.signature)
    worker = app.Worker(
        pool_cls="solo",
        concurrency=1,
        hostname=f"{context.boot_id}@{socket.gethostname()}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel=settings.log_level,
        quiet=True,
    )
    worker.start()


def _register(app: Any, post: WorkerContext) -> None:
    """Make ``app`` answer doorbells: those of tasks and those of looks."""
    desk = LookDesk(post)

    def attempt(task_id: int, epoch: int) -> None:
        desk.close()
        run(post, task_id, epoch)

    _answer(app, TASK_NAME, attempt)
    _answer(app, LOOK_NAME, desk.show)


def _answer(app: Any, name: str, work: Callable[[int, int], None]) -> None:
    """Make doorbells of a name do a work, which is given their two numbers."""

    @app.task(name=name, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def answer(*args: object, **kwargs: object) -> None:
        match args:
            case (int(number), int(epoch)) if not kwargs:
                work(number, epoch)
            case _:  # forged, or from another release: the lease would refuse it anyway
                log.warning("not a doorbell", args=repr(args)[:200])


def _retry_while_away(step: Callable[[], None]) -> None:
    """Do what needs the database: a worker may come up before it, or before whoever migrates it.

    A full disk is waited for as long as it takes: a worker that ended would be started again, and again.
    """
    end = time.monotonic() + 60
    while True:
        try:
            return step()
        except (DatabaseUnavailable, InputError) as error:
            passes = error.code in {"DATABASE_UNAVAILABLE", "DATABASE_OUTDATED"} and time.monotonic() < end
            if not passes and error.code != "NO_SPACE":
                raise
            log.warning("waiting for the database", code=error.code, error=error.message)
            time.sleep(1)
