from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from db import ledger, session
from db.errors import LeaseLost, WorkCancelled, WorkerLeaving
from db.logs import log_to
from db.session import Database
from db.settings import Settings
from db.tables import Worker
from tests.db.desk import Desk, still
from tests.support.servers import wait_until
from workers.process.heartbeat import EXIT_FENCED, EXIT_PULSELESS, Heartbeat


@pytest.fixture
def desk(tmp_path: Path, empty_database: Path) -> Iterator[Desk]:
    shutil.copy(empty_database, tmp_path)
    with session.open_database(Settings(home=tmp_path)) as database:
        yield Desk(database)


def pulse_of(database: Database, left: list[int], **settings: float) -> Heartbeat:
    quick = {"lease_seconds": 2.0, "heartbeat_seconds": 0.1, "stall_seconds": 60.0} | settings
    pulse = Heartbeat(database, Settings(**quick), "w1", leave_process=left.append)  # type: ignore[arg-type]
    pulse.start()
    return pulse


def taken(desk: Desk) -> ledger.Lease:
    desk.submit([still(0)])
    desk.hire()
    return desk.next_lease()


def test_a_held_lease_is_renewed_while_work_moves(desk: Desk) -> None:
    lease, left = taken(desk), list[int]()
    pulse = pulse_of(desk.db, left)
    with pulse.hold(lease, time.monotonic()):
        for _ in range(30):
            pulse.advance(1)
            time.sleep(0.1)
        assert desk.task(lease.task_id).frames_done > 10
        assert ledger.reap(desk.db) == 0
    pulse.stop()
    assert left == []


def test_work_that_stalls_ends_the_process(desk: Desk) -> None:
    lease, left = taken(desk), list[int]()
    pulse = pulse_of(desk.db, left, stall_seconds=0.5)
    with pulse.hold(lease, time.monotonic()):
        wait_until(lambda: left, 5, "the process leaves")
    pulse.stop()
    assert left[0] == EXIT_FENCED


def test_a_lease_that_cannot_be_renewed_ends_the_process_before_it_ends(tmp_path: Path) -> None:
    left: list[int] = []
    away = session.open_database(Settings(database_url="postgresql://nobody@127.0.0.1:1/x"))
    pulse = pulse_of(away, left)
    asked_at = time.monotonic()
    with pulse.hold(ledger.Lease(1, 1, "w1"), asked_at):
        wait_until(lambda: left, 5, "the process leaves")
    pulse.stop()
    assert time.monotonic() - asked_at < 3.5


def test_a_lost_lease_stops_the_work_at_the_next_frame(desk: Desk) -> None:
    lease, left = taken(desk), list[int]()
    pulse = pulse_of(desk.db, left)
    ledger.release_dead_worker(desk.db, "w1", forgive=True)
    with pulse.hold(lease, time.monotonic()), pytest.raises(LeaseLost):
        work(pulse)
    pulse.stop()


def test_a_paused_job_stops_the_work_at_the_next_frame(desk: Desk) -> None:
    lease, left = taken(desk), list[int]()
    pulse = pulse_of(desk.db, left)
    ledger.pause_job(desk.db, 1)
    with pulse.hold(lease, time.monotonic()), pytest.raises(WorkCancelled):
        work(pulse)
    pulse.stop()
    assert left == []


def test_a_worker_that_leaves_stops_its_work_and_takes_no_more(desk: Desk) -> None:
    lease, left = taken(desk), list[int]()
    pulse = pulse_of(desk.db, left)
    with pulse.hold(lease, time.monotonic()):
        pulse.begin_shutdown()
        with pytest.raises(WorkerLeaving):
            pulse.advance(1)
    assert pulse.leaving
    pulse.stop()


def test_movement_without_a_lease_is_nobodys_business(desk: Desk) -> None:
    pulse = Heartbeat(desk.db, Settings(), "w1")
    pulse.advance(1)


def test_a_beat_whose_log_cannot_be_written_is_not_the_last(desk: Desk, tmp_path: Path) -> None:
    """As on a full disk: the database refuses, and so does the log that would say it."""
    lease, left = taken(desk), list[int]()
    before = structlog.get_config()
    with (tmp_path / "log").open("w") as log:
        log_to(log, "INFO")
        log.close()
        with desk.db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE workers RENAME TO elsewhere")
        pulse = pulse_of(desk.db, left)
        with pulse.hold(lease, time.monotonic()):
            time.sleep(0.5)
            with desk.db.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO workers")
            wait_until(lambda: desk.task(lease.task_id).frames_done == 0 and beating(desk), 5, "the pulse goes on")
    structlog.configure(**before)
    pulse.stop()
    assert left == []


def beating(desk: Desk) -> bool:
    """Whether the worker's heartbeat moves."""

    def beaten_at() -> float:
        with desk.db.read() as connection:
            return float(connection.scalar(select(Worker.heartbeat_at)) or 0)

    first = beaten_at()
    time.sleep(0.4)
    return beaten_at() > first


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pulse_that_ends_ends_the_process(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(ledger, "heartbeat", end)
    left: list[int] = []
    pulse = pulse_of(desk.db, left)
    wait_until(lambda: left, 5, "the process leaves")
    pulse.stop()
    for thread in threading.enumerate():
        if thread.name == "pulse":
            thread.join()  # what it raises is of this test, and not of the next one
    assert left == [EXIT_PULSELESS]


HANGING = """
import sys, threading
from db import session
from db.settings import Settings
from workers.process.heartbeat import Heartbeat
settings = Settings(home=sys.argv[1], lease_seconds=0.4, heartbeat_seconds=0.1)
Heartbeat(session.open_database(settings), settings, "w1", patience_seconds=0.5).start()
threading.Event().wait(20)
print("still there")
"""


def test_a_pulse_that_hangs_ends_the_process_and_leaves_its_stacks(desk: Desk, tmp_path: Path) -> None:
    lock = sqlite3.connect(tmp_path / "reelwright.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    ended = subprocess.run([sys.executable, "-c", HANGING, str(tmp_path)], capture_output=True, text=True, check=False)
    lock.close()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Timeout" in ended.stderr
    assert "in _beat" in ended.stderr


def work(pulse: Heartbeat) -> None:
    for _ in range(100):
        pulse.advance(1)
        time.sleep(0.05)
