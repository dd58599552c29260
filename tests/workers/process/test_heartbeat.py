from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import ledger, session
from db.errors import LeaseLost, WorkCancelled, WorkerLeaving
from db.session import Database
from db.settings import Settings
from tests.db.desk import Desk, still
from tests.support.servers import wait_until
from workers.process.heartbeat import EXIT_FENCED, Heartbeat


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with session.open_database(Settings(home=tmp_path)) as database:
        session.upgrade(database)
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


def work(pulse: Heartbeat) -> None:
    for _ in range(100):
        pulse.advance(1)
        time.sleep(0.05)
