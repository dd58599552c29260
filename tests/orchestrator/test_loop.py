from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from db import ledger, session
from db.errors import BrokerUnavailable
from db.ledger import Doorbell
from db.records import TaskResult
from db.settings import Settings
from db.store import open_store
from orchestrator.loop import MASS_LEASES, Loop
from tests.db.desk import SIGNATURE, Desk, blob, done_still, facts, reel, still


class Bells:
    """A broker that keeps what it is given; it may be away."""

    def __init__(self) -> None:
        self.rung: list[Doorbell] = []
        self.away = False

    def send(self, bells: Iterable[Doorbell]) -> None:
        if self.away:
            raise BrokerUnavailable("away")
        self.rung += bells


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with session.open_database(Settings(home=tmp_path)) as database:
        session.upgrade(database)
        yield Desk(database)


def loop_of(desk: Desk, tmp_path: Path, **settings: object) -> Loop:
    made = Settings(home=tmp_path, **settings)  # type: ignore[arg-type]
    return Loop(desk.db, Bells(), open_store(made), made)


def test_rounds_take_a_reel_from_probe_to_the_end(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path, segment_frames=8)
    job_id = desk.submit([reel(0)])
    desk.hire()
    from db.records import ItemResult

    seen: list[str] = []
    for _ in range(30):
        loop.tick()
        for task in desk.tasks(state="queued"):
            lease = desk.lease(Doorbell(task.id, task.dispatch_epoch, task.queue))
            assert lease is not None
            seen.append(task.kind)
            if task.kind == "assemble":
                ledger.complete_item(desk.db, lease, ItemResult(outputs={"master": blob()}))
            else:
                found = facts(20) if task.kind == "probe" else None
                outputs = {"chunk": blob()} if task.kind == "restore" else {}
                frames = task.stop_frame - task.start_frame if task.kind == "restore" else 0
                ledger.complete_task(desk.db, lease, TaskResult(facts=found, outputs=outputs, frames=frames))
    assert seen == ["probe", "restore", "restore", "restore", "assemble"]
    assert desk.job_state(job_id) == "done"
    assert {task.signature for task in desk.tasks(kind="restore")} == {SIGNATURE}


def test_a_lost_publish_is_rung_again(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path)
    bells = loop.broker
    assert isinstance(bells, Bells)
    bells.away = True
    desk.submit([still(0)])
    desk.hire()
    loop.tick()
    assert desk.tasks()[0].state == "queued"
    bells.away = False
    loop.database = desk.later(31).db
    loop.upkeep_at = float("-inf")
    loop.tick()
    assert [bell.epoch for bell in bells.rung] == [2]


def test_a_standby_does_nothing(desk: Desk, tmp_path: Path) -> None:
    leader, standby = loop_of(desk, tmp_path), loop_of(desk, tmp_path)
    leader.tick()
    desk.submit([still(0)])
    desk.hire()
    assert not standby.tick()
    assert desk.tasks()[0].state == "ready"
    leader.resign()
    assert standby.tick()


def test_mass_expiry_after_an_outage_is_held_for_one_period(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path)
    desk.submit([still(number) for number in range(MASS_LEASES)], bundle=1)
    for number in range(MASS_LEASES):
        desk.hire(f"w{number}")
    for bell in desk.dispatch():
        desk.lease(bell)
    later = desk.later(61)
    loop.database = later.db
    loop.outage_at = 10**9  # just now
    loop.tick()
    assert len(desk.tasks(state="running")) == MASS_LEASES
    loop.database = desk.later(200).db
    loop.upkeep_at = float("-inf")
    loop.tick()
    assert desk.tasks(state="running") == []


def test_a_job_that_fails_too_much_pauses_itself_and_says_why(desk: Desk, tmp_path: Path) -> None:
    from db import progress

    loop = loop_of(desk, tmp_path, failure_threshold=0.5, failure_threshold_items=3)
    job_id = desk.submit([still(number) for number in range(6)])
    desk.hire()
    lease = desk.next_lease()
    for item_id in (1, 2, 3):
        ledger.fail_still(desk.db, lease, item_id, ledger.Failure("CORRUPT", "m", "r"))
    loop.tick()
    loop.upkeep_at = float("-inf")
    loop.tick()
    row = progress.job(desk.db, job_id)
    assert row.state == "paused"
    assert "3 of 3 items failed" in row.pause_reason


def test_blobs_that_nobody_points_to_are_swept(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path)
    desk.submit([still(0)])
    desk.hire()
    lease = desk.next_lease()
    prefix = f"jobs/1/items/1/g1/restore/t{lease.task_id}-a1-w1"
    loop.store.put_bytes(f"{prefix}/still.png", b"x")
    loop.store.put_bytes("jobs/1/items/1/g1/restore/other/still.png", b"x")
    ledger.release_dead_worker(desk.db, "w1", forgive=True)
    loop.database = desk.later(1000).db
    loop.tick()
    assert list(loop.store.keys("jobs/")) == ["jobs/1/items/1/g1/restore/other/still.png"]
    assert ledger.due_sweeps(loop.database) == []


def test_a_job_ends_only_when_all_its_items_have(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path)
    job_id = desk.submit([still(0), still(1)])
    desk.hire()
    loop.tick()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    loop.tick()
    assert desk.job_state(job_id) == "running"
    ledger.complete_still(desk.db, lease, 2, done_still())
    ledger.finish_bundle(desk.db, lease)
    loop.tick()
    assert desk.job_state(job_id) == "done"
