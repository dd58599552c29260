"""Tenants take turns: none waits behind another's million items, and none has more than it may."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import figures, ledger
from db.ledger.sharing import take_turns
from db.recipe import resolve
from db.records import ItemResult
from db.session import Database
from db.settings import TenantShare
from tests.db.desk import Desk, blob, still

SLOTS = 4


@pytest.fixture
def desk(database: Database) -> Desk:
    made = Desk(database)
    for number in range(SLOTS):
        made.hire(f"w{number}")
    return made


def _submit(desk: Desk, tenant: str, count: int, priority: int = 0) -> int:
    request = ledger.JobRequest(
        "job", "m", (tenant * 64)[:60] + f"{priority:04}", resolve("identity"), tenant=tenant, priority=priority
    )
    job = ledger.open_job(desk.db, request)
    ledger.add_lines(desk.db, job.id, [still(seq) for seq in range(count)], bundle_stills=1)
    ledger.close_ingest(desk.db, job.id)
    return job.id


def _round(desk: Desk, shares: Mapping[str, TenantShare] | None = None, *, finish: int = SLOTS) -> Counter[int]:
    """Ring, and have workers finish some of the oldest tasks; returns how many of each job were rung for."""
    bells = ledger.dispatch(desk.db, 60.0, shares or {})
    jobs = {task.id: task.job_id for task in desk.tasks()}
    for task in sorted(desk.tasks(state="queued"), key=lambda task: (task.queued_at, task.id))[:finish]:
        lease = desk.lease(ledger.Doorbell(task.id, task.dispatch_epoch, task.queue))
        assert lease is not None
        item = next(item for item in desk.items() if item.task_id == task.id)
        ledger.complete_still(desk.db, lease, item.id, ItemResult(outputs={"still": blob()}))
        ledger.finish_bundle(desk.db, lease)
    ledger.fold_counters(desk.db)
    return Counter(jobs[bell.task_id] for bell in bells)


def test_ten_items_beside_very_many_begin_within_two_rounds(desk: Desk) -> None:
    many = _submit(desk, "many", 300)
    for _ in range(3):
        assert set(_round(desk)) == {many}
    few = _submit(desk, "few", 10)
    rounds = [_round(desk) for _ in range(5)]
    assert rounds[0][few] == SLOTS  # all the room there was
    alone = math.ceil(10 / SLOTS)
    needed = next(number for number in range(1, 6) if sum(each[few] for each in rounds[:number]) == 10)
    assert needed <= alone + 2


def test_weights_say_who_gets_more(desk: Desk) -> None:
    first, second = _submit(desk, "a", 100), _submit(desk, "b", 100)
    shares = {"a": TenantShare(weight=3)}
    rung = sum((_round(desk, shares) for _ in range(12)), Counter[int]())
    assert rung[first] == pytest.approx(3 * rung[second], rel=0.15)


def test_nobody_has_more_under_way_than_it_may(desk: Desk) -> None:
    first, second = _submit(desk, "a", 30), _submit(desk, "b", 30)
    rung = _round(desk, {"a": TenantShare(most_running=2), "*": TenantShare(most_running=3)}, finish=0)
    assert rung == {first: 2, second: 3}
    assert _round(desk, {"a": TenantShare(most_running=2), "*": TenantShare(most_running=3)}, finish=0) == {}


def test_who_has_stored_enough_begins_nothing_more(desk: Desk) -> None:
    """Each result takes ten bytes."""
    job_id = _submit(desk, "a", 30)
    limit = {"a": TenantShare(most_stored_bytes=40)}
    _round(desk, limit)
    assert sum(_round(desk, limit, finish=0).values()) == 0
    assert sum(_round(desk, {"a": TenantShare(most_stored_bytes=1000)}, finish=0).values()) > 0
    assert desk.job_state(job_id) == "running"


def test_of_one_tenant_priority_goes_first_and_of_others_it_takes_nothing(desk: Desk) -> None:
    low, high = _submit(desk, "a", 30), _submit(desk, "a", 30, priority=5)
    other = _submit(desk, "b", 30)
    rung = _round(desk, finish=0)
    assert low not in rung
    assert rung == {high: SLOTS, other: SLOTS}


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)),
    st.integers(0, 20),
)
def test_turns_leave_no_room_unused_and_nobody_far_behind(
    waiting: dict[str, int], held: dict[str, int], free: int
) -> None:
    offers = {tenant: [(tenant, number) for number in range(count)] for tenant, count in waiting.items()}
    chosen = take_turns(offers, held, {}, free)
    assert len(chosen) == min(free, sum(waiting.values()))
    got = Counter(tenant for tenant, _ in chosen)
    for tenant in waiting:
        assert [number for name, number in chosen if name == tenant] == list(range(got[tenant]))
        for other in waiting:
            if got[tenant] and got[other] < waiting[other]:
                assert held.get(tenant, 0) + got[tenant] <= held.get(other, 0) + got[other] + 1


def test_what_tenants_have_is_told(desk: Desk) -> None:
    _submit(desk, "a", 6)
    _submit(desk, "b", 1)
    shares = {"a": TenantShare(most_stored_bytes=40)}
    _round(desk, shares)
    first, second = figures.tenant_sums(desk.db, shares)
    assert (first.tenant, first.open_jobs, first.stored_bytes + second.stored_bytes) == ("a", 1, 10 * SLOTS)
    assert first.held_tasks + second.held_tasks == 7 - SLOTS
    assert first.is_full == (first.stored_bytes >= 40)
    assert (second.tenant, second.share) == ("b", TenantShare())
