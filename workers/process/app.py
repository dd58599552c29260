"""One worker process: it registers, beats, and answers doorbells until it is told to leave.

One process is one slot: Celery's solo pool runs a task inside the consumer, so a message is fetched only when the
process is free, on every transport, and a process that dies takes exactly one task with it.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog

from db import ledger, queues, session
from db.broker import celery_app, message_queue
from db.doorbells import LOOK_NAME, TASK_NAME
from db.errors import DatabaseUnavailable, InputError
from db.settings import Settings
from db.store import open_store
from workers import machine
from workers.process.attempt import WorkerContext, run
from workers.process.heartbeat import Heartbeat
from workers.process.isolation import end_with_parent
from workers.process.loading import Loading
from workers.process.looking import LookDesk

BOOT_ID = "REELWRIGHT_BOOT_ID"
log = structlog.get_logger(__name__)


def serve(settings: Settings, *, spare: bool = False) -> None:
    """Work until told to leave.

    Args:
        settings: Where, and with what.
        spare: Whether to wait for a line on standard input first, and to leave where none comes.

    Raises:
        InputError: The database has another schema, or a setting is wrong.
        ImportError: A library cannot be loaded.
    """
    machine.check_installed()
    machine.settle_opencv()
    loading = Loading(settings)
    if spare and not _is_told(loading):
        return
    end_with_parent()
    boot_id = os.environ.get(BOOT_ID) or uuid.uuid4().hex[:12]
    with session.open_database(settings) as database:
        _retry_while_away(lambda: session.check(database))
        store = open_store(settings)
        heartbeat = Heartbeat(database, settings, boot_id)
        identity = ledger.WorkerIdentity(
            boot_id, socket.gethostname(), os.getpid(), settings.device, "", machine.releases()
        )
        _retry_while_away(lambda: ledger.register_worker(database, identity))
        heartbeat.start()
        try:
            _consume(settings, WorkerContext(database, store, settings, heartbeat, boot_id, loading))
        finally:
            heartbeat.stop()
            ledger.sign_off_worker(database, boot_id)
    loading.check()


def _is_told(loading: Loading) -> bool:
    """Wait for a line on standard input; whoever has to wait loads meanwhile."""
    if not select.select([sys.stdin], [], [], 0)[0]:
        loading.begin()
    return bool(sys.stdin.readline())


def _consume(settings: Settings, context: WorkerContext) -> None:
    from celery.signals import worker_ready, worker_shutting_down

    app = celery_app(settings, [queues.LIGHT])
    _register(app, context)

    def on_shutdown(**_: Any) -> None:
        context.heartbeat.begin_shutdown()

    def on_ready(sender: Any, **_: Any) -> None:
        # Not sooner: the first doorbell would wait while libraries are linked, which holds the interpreter.
        context.loading.begin().add_done_callback(lambda _: sender.call_soon(_take_up, context, sender))

    worker_shutting_down.connect(on_shutdown, weak=False)
    worker_ready.connect(on_ready, weak=False)
    log.info("worker ready", boot_id=context.boot_id)
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


def _take_up(context: WorkerContext, consumer: Any) -> None:
    """Answer all doorbells from now on, as what computes is there; a worker that cannot compute leaves in order."""
    taken_up = False
    try:
        equipment = context.loading.equipment()
        known = equipment.device, equipment.signature, equipment.versions
        _retry_while_away(lambda: ledger.equip_worker(context.database, context.boot_id, *known))
        names = (queues.FINISH, queues.restore_queue(equipment.signature), queues.RESTORE)
        # Selected before any is asked for: a connection that breaks off now and is made anew brings all of them.
        added = [consumer.app.amqp.queues.select_add(message_queue(name)) for name in names]
        taken_up = True
        log.info("worker computes", boot_id=context.boot_id, device=equipment.device, signature=equipment.signature)
        for queue in added:
            consumer.task_consumer.add_queue(queue)
        consumer.task_consumer.consume()
    finally:
        if not taken_up:
            context.heartbeat.ask_to_end()


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
