"""What goes wrong in a soak: each fault is done to a running installation, and undone where it does not pass."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from db import ledger
from db.broker import CeleryBroker
from db.errors import InputError, OutageError
from db.ledger import Doorbell
from tests.journeys.house import House
from tests.soak.machines import Machine, Park
from tests.support import servers

Chance = random.Random
Result = TypeVar("Result")


class NotHere(Exception):
    """A fault that cannot be done to this installation, or not right now."""


@dataclass
class Scene:
    """What faults are done to."""

    house: House
    park: Park
    chance: Chance
    job_id: int
    """The job that is under way."""
    disk: Path | None
    """A small disk of its own, on which the home lies; none where none could be mounted."""
    postgres: servers.Postgres | None = None
    redis: servers.Redis | None = None
    s3: servers.S3 | None = None

    @property
    def embedded(self) -> bool:
        """Whether no server is behind it."""
        return self.redis is None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _process_of_a_worker(scene: Scene) -> psutil.Process:
    """Return one of the processes that work."""
    working = [each for machine in scene.park.workers for each in machine.tree()[1:]]
    if not working:
        raise NotHere
    return scene.chance.choice(working)


def kill_worker_process(scene: Scene) -> None:
    """SIGKILL one process that works, at whatever it is."""
    _send(_process_of_a_worker(scene), signal.SIGKILL)


def kill_worker_machine(scene: Scene) -> None:
    """SIGKILL a supervisor with all of its workers at once, as a power cut does."""
    for each in scene.chance.choice(scene.park.workers).tree():
        _send(each, signal.SIGKILL)


def stop_worker_machine(scene: Scene) -> None:
    """SIGTERM to a supervisor: a rolling deploy. Work is handed back."""
    tree = scene.chance.choice(scene.park.workers).tree()
    if not tree:
        raise NotHere
    _send(tree[0], signal.SIGTERM)


def freeze_worker_process(scene: Scene) -> None:
    """SIGSTOP beyond the lease, then SIGCONT: it wakes with work that is another's by now."""
    process = _process_of_a_worker(scene)
    _send(process, signal.SIGSTOP)
    time.sleep(scene.house.settings.lease_seconds + scene.chance.uniform(0.5, 3))
    _send(process, signal.SIGCONT)


def kill_orchestrator(scene: Scene) -> None:
    """SIGKILL an orchestrator, perhaps between commit and message."""
    for each in scene.chance.choice(scene.park.orchestrators).tree():
        _send(each, signal.SIGKILL)


def freeze_orchestrator(scene: Scene) -> None:
    """SIGSTOP an orchestrator beyond its term; it wakes and may still think that it leads."""
    tree = scene.chance.choice(scene.park.orchestrators).tree()
    for each in tree:
        _send(each, signal.SIGSTOP)
    time.sleep(scene.house.settings.leader_seconds + scene.chance.uniform(0.5, 2))
    for each in tree:
        _send(each, signal.SIGCONT)


def step_a_clock(scene: Scene) -> None:
    """Set one machine's clock an hour or two ahead or back for a while, then right."""
    machine: Machine = scene.chance.choice(scene.park.machines)
    machine.set_clock(scene.chance.choice((-7200, -3600, -60, 60, 3600, 7200)))
    time.sleep(scene.chance.uniform(2, 8))
    machine.set_clock(0)


def fill_the_disk(scene: Scene) -> None:
    """Leave not a byte on the disk of the home for some seconds."""
    if scene.disk is None:
        raise NotHere
    filler = scene.disk / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(1 << 20))
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(512))
    finally:
        os.close(descriptor)
    time.sleep(scene.chance.uniform(2, 8))
    filler.unlink()


def wipe_the_broker(scene: Scene) -> None:
    """Lose every message."""
    if scene.redis is None:
        shutil.rmtree(scene.house.settings.messages, ignore_errors=True)
        return
    scene.redis.kill()
    time.sleep(scene.chance.uniform(0.2, 3))
    scene.redis.start()


def send_old_messages(scene: Scene) -> None:
    """Ring again for every task that ever was, in reverse, under right and wrong epochs."""
    tasks = scene.house.tasks()
    bells = [Doorbell(task.id, epoch, task.queue) for task in reversed(tasks) for epoch in (0, 1, 2, 3, 99)]
    with suppress(OutageError):
        CeleryBroker(scene.house.settings).send(bells[:400])


def send_rubbish(scene: Scene) -> None:
    """Put into the broker what is no message of ours."""
    if scene.redis is not None:
        broker = CeleryBroker(scene.house.settings)
        with suppress(OutageError):
            broker.app.send_task("unknown.task", args=({"a": []},), queue="restore")
            broker.app.send_task("reelwright.attempt", args=("1", None, 2**70), queue="restore")
        return
    inbox = scene.house.settings.messages / "in"
    with suppress(FileNotFoundError):
        name = f"{scene.chance.randrange(10**9):020d}_x.restore.msg"
        (inbox / name).write_bytes(scene.chance.choice((b"", b'{"body"', b"[]", b'{"properties":1,"headers":2}')))
        os.mkfifo(inbox / f"pipe-{scene.chance.randrange(10**9)}.restore.msg")


def take_the_database(scene: Scene) -> None:
    """Hold the database's only lock, or restart the server."""
    if scene.postgres is not None:
        scene.postgres.restart(down_seconds=scene.chance.uniform(0.2, 3))
        return
    path = scene.house.settings.home / "reelwright.db"
    with suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(scene.chance.uniform(1, 7))
        connection.execute("ROLLBACK")
        connection.close()


def take_the_store(scene: Scene) -> None:
    """Stop the object storage for a while."""
    if scene.s3 is None:
        raise NotHere
    scene.s3.kill()
    time.sleep(scene.chance.uniform(0.5, 5))
    scene.s3.start()


def pause_and_resume(scene: Scene) -> None:
    """Pause the job, and let it go on."""
    with suppress(InputError, OutageError):
        ledger.pause_job(scene.house.database, scene.job_id)
        time.sleep(scene.chance.uniform(0.1, 2))
    with suppress(InputError):
        insist(lambda: ledger.resume_job(scene.house.database, scene.job_id))


def cancel_and_rerun(scene: Scene) -> None:
    """Cancel the job, and ask for all of it again."""
    try:
        insist(lambda: ledger.cancel_job(scene.house.database, scene.job_id))
    except InputError:
        raise NotHere from None  # it is over already
    insist(lambda: ledger.rerun(scene.house.database, scene.job_id, ledger.Selection()))


def insist(work: Callable[[], Result]) -> Result:
    """Do it although the database may be away, or full, for a while."""
    for _ in range(120):
        try:
            return work()
        except OutageError:
            time.sleep(0.5)
    raise AssertionError("the database did not come back within a minute")


FAULTS: tuple[Callable[[Scene], None], ...] = (
    kill_worker_process, kill_worker_machine, stop_worker_machine, freeze_worker_process, kill_orchestrator,
    freeze_orchestrator, step_a_clock, fill_the_disk, wipe_the_broker, send_old_messages, send_rubbish,
    take_the_database, take_the_store, pause_and_resume, cancel_and_rerun,
)  # fmt: skip
