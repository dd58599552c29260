from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from db import ledger, session
from db.broker import CeleryBroker
from db.errors import BrokerUnavailable, DatabaseUnavailable
from db.ledger import Doorbell
from db.records import TaskResult
from db.settings import Settings
from db.store import open_store
from db.tables import Base, Item, Job, Sweep, Task
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
def desk(tmp_path: Path, empty_database: Path) -> Iterator[Desk]:
    shutil.copy(empty_database, tmp_path)
    with session.open_database(Settings(home=tmp_path)) as database:
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
    assert seen == ["probe", "restore", "restore", "restore", "read_back", "assemble"]
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


# -- clocks


def set_clock_back(loop: Loop, desk: Desk) -> None:
    """Let the loop live on when the database's clock, which was two hours ahead, is right again."""
    loop.database, loop.upkeep_at, loop.leading = desk.db, float("-inf"), False


def test_a_term_from_a_clock_that_was_ahead_is_taken(desk: Desk, tmp_path: Path) -> None:
    ahead, loop = loop_of(desk.later(7200), tmp_path), loop_of(desk, tmp_path)
    ahead.tick()
    assert ahead.leading
    loop.tick()
    assert (loop.leading, loop.waits_for) == (True, "")
    ahead.database = desk.db
    ahead.led_until = 0.0
    ahead.tick()
    assert not ahead.leading


def test_an_honest_term_is_waited_for_and_said(desk: Desk, tmp_path: Path) -> None:
    first, second = loop_of(desk, tmp_path), loop_of(desk, tmp_path)
    first.tick()
    second.tick()
    assert (second.leading, second.waits_for) == (False, "another orchestrator leads; its term is waited for")


def test_who_holds_the_home_takes_any_term_at_once(desk: Desk, tmp_path: Path) -> None:
    first, second = loop_of(desk, tmp_path), loop_of(desk, tmp_path)
    first.tick()
    second.alone = True
    second.tick()
    assert second.leading
    first.led_until = 0.0
    first.tick()
    assert not first.leading


def test_what_a_dead_worker_held_when_the_clock_was_ahead_is_taken_back(desk: Desk, tmp_path: Path) -> None:
    loop, ahead = loop_of(desk.later(7200), tmp_path), desk.later(7200)
    desk.submit([still(0), reel(1)], bundle=1)
    ahead.hire()
    loop.tick()
    lease = ahead.next_lease()
    set_clock_back(loop, desk)
    loop.tick()
    assert desk.task(lease.task_id).state == "running"  # it may live, and renews then
    with desk.db.read() as connection:
        now = connection.scalar(select(desk.db.now))
    assert 0 < desk.task(lease.task_id).lease_until - now <= loop.settings.lease_seconds
    set_clock_back(loop, desk.later(100))
    loop.tick()
    assert desk.task(lease.task_id).state != "running"
    assert ledger.slots(loop.database, 60) == {}


def test_pauses_and_doorbells_from_a_clock_that_was_ahead_do_not_hold_work_up(desk: Desk, tmp_path: Path) -> None:
    loop, ahead = loop_of(desk.later(7200), tmp_path), desk.later(7200)
    desk.submit([still(0), reel(1)], bundle=1)
    ahead.hire()
    first, second = ahead.dispatch()
    lease = ahead.lease(first)
    assert lease is not None
    ledger.release(ahead.db, lease, pause_seconds=5)
    set_clock_back(loop, desk)
    loop.tick()
    late = desk.later(loop.settings.backoff_seconds * 2**loop.settings.max_attempts + 10)
    late.hire("w2")
    loop.database, loop.upkeep_at = late.db, float("-inf")
    loop.broker = Bells()
    loop.tick()
    assert {bell.task_id for bell in loop.broker.rung} == {first.task_id, second.task_id}


def test_a_full_disk_is_an_outage_with_a_name(desk: Desk, tmp_path: Path) -> None:
    loop = loop_of(desk, tmp_path)
    loop.tick()
    desk.submit([still(0)])
    desk.hire()
    with desk.db.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    @event.listens_for(desk.db.engine, "connect")
    def fill(dbapi_connection: Any, _: Any) -> None:
        dbapi_connection.execute(f"PRAGMA max_page_count={pages}")

    desk.db.engine.dispose()
    loop.leading = False
    with pytest.raises(DatabaseUnavailable) as full, desk.db.write() as connection:
        connection.execute(insert(Sweep).values(prefix="x" * 100_000, due_at=0.0))
    assert full.value.code == "NO_SPACE"
    assert "room" in full.value.message
    loop.tick()


def test_a_full_message_folder_is_an_outage_with_a_name(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Settings(home=tmp_path)
    loop = Loop(desk.db, CeleryBroker(made), open_store(made), made)
    desk.submit([still(0)])
    desk.hire()

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", refuse)
        loop.tick()
    assert (loop.away, loop.waits_for) == ("NO_SPACE", f"There is no room for messages in {tmp_path / 'messages'}")
    loop.tick()
    assert (loop.away, loop.waits_for) == ("", "")


def test_people_are_told_what_work_waits_for_as_long_as_it_does(desk: Desk, tmp_path: Path) -> None:
    from db import progress

    job_id = desk.submit([still(0)])
    desk.hire()
    ledger.release(desk.db, desk.next_lease(), code="NO_SPACE", message="There is no room", pause_seconds=5)
    assert progress.outage(desk.db, job_id) == "There is no room"
    assert progress.outage(desk.db, job_id + 1) == ""
    assert progress.outage(desk.later(6).db, job_id) == ""


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (Item, {"facts_json": "x"}),
        (Item, {"substitutes_json": "5"}),
        (Task, {"kind": "dust"}),
        (Job, {"options_json": '{"segment_frames": "many"}'}),
        (Job, {"options_json": "[]"}),
    ],
)
def test_a_row_that_cannot_be_read_costs_its_own_reel(
    table: type[Base], values: dict[str, str], desk: Desk, tmp_path: Path
) -> None:
    jobs = [desk.submit([reel(0)], key=key) for key in "ab"]
    desk.hire()
    for _ in jobs:
        ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=facts(8)))
    odd = jobs[0]
    column = table.__table__.c["id" if table is Job else "job_id"]
    with desk.db.write() as connection:
        connection.execute(update(table).where(column == odd).values(values))
    loop_of(desk, tmp_path).tick()
    assert {item.job_id: item.error_code for item in desk.items()} == {odd: "RECORD_UNREADABLE", jobs[1]: None}
    assert [task.job_id for task in desk.tasks(kind="restore")] == [jobs[1]]
