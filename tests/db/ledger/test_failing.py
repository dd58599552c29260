from __future__ import annotations

import json

import pytest

from db import ledger
from db.errors import LeaseLost
from db.ledger.failing import nearest_good
from db.recipe import parse
from db.records import TaskResult
from db.session import Database
from db.states import ItemState, TaskKind, TaskState
from tests.db.desk import LEASE_SECONDS, Desk, blob, done_still, facts, reel, still

FAILURE = ledger.Failure("CORRUPT", "frame 3 cannot be decoded", "Send a good copy.")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def crash(desk: Desk) -> int:
    """Lease the first ready task and lose it without a word."""
    lease = desk.next_lease()
    ledger.release_dead_worker(desk.db, lease.boot_id, forgive=False)
    desk.hire(f"w-{lease.task_id}-{lease.attempt}")
    return lease.task_id


def test_bad_input_fails_the_reel_at_once_and_cancels_its_other_tasks(desk: Desk) -> None:
    job_id = desk.probed_reel(32, (0, 16), (16, 32))
    lease = desk.next_lease()
    ledger.fail_item(desk.db, lease, FAILURE)
    (item,) = desk.items()
    assert (item.state, item.error_code) == (ItemState.FAILED, "CORRUPT")
    assert [task.state for task in desk.tasks(kind="restore")] == [TaskState.FAILED, TaskState.CANCELLED]
    desk.assert_counted(job_id)


def test_one_bad_still_leaves_the_others_alone(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1), still(2)])
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    ledger.fail_still(desk.db, lease, 2, FAILURE)
    ledger.complete_still(desk.db, lease, 3, done_still())
    ledger.finish_bundle(desk.db, lease)
    assert [item.state for item in desk.items()] == ["done", "failed", "done"]
    ledger.fold_counters(desk.db)
    assert ledger.finish_jobs(desk.db) == 1
    assert desk.job_state(job_id) == "done_with_failures"
    desk.assert_counted(job_id)


def test_passing_failure_is_tried_again_after_a_growing_pause_then_fails(desk: Desk) -> None:
    job_id = desk.probed_reel(16, (0, 16))
    now = desk
    for number in range(3):
        lease = now.next_lease()
        ledger.retry(now.db, lease, FAILURE, max_attempts=4, backoff_seconds=5)
        task = desk.task(lease.task_id)
        assert task.state == TaskState.READY
        assert now.dispatch() == []
        now = now.later(5 * 2**number + 1)
        ledger.heartbeat(now.db, "w1", None, 0, LEASE_SECONDS)
    ledger.retry(now.db, now.next_lease(), FAILURE, max_attempts=4, backoff_seconds=5)
    (item,) = desk.items()
    assert (item.state, item.error_code) == ("failed", "TOO_MANY_ATTEMPTS")
    assert "frame 3 cannot be decoded" in item.error_message
    desk.assert_counted(job_id)


def test_two_crashes_split_a_segment_down_to_one_cell_then_isolate_it(desk: Desk) -> None:
    desk.probed_reel(32, (0, 32))
    crash(desk)
    crash(desk)
    halves = desk.open_tasks()
    assert [(half.start_frame, half.stop_frame) for half in halves] == [(0, 16), (16, 32)]
    crash(desk)  # under suspicion already: one more crash splits
    parts = desk.open_tasks()
    assert [(part.start_frame, part.stop_frame) for part in parts] == [(16, 32), (0, 8), (8, 16)]


def test_a_crashing_cell_is_isolated_and_then_its_reel_quarantined(desk: Desk) -> None:
    job_id = desk.probed_reel(8, (0, 8))
    task_id = crash(desk)
    assert not desk.task(task_id).isolate
    crash(desk)
    for _ in range(4):  # a child process would have been to blame, so this may be the machine's fault for long
        assert desk.task(task_id).isolate
        assert desk.items()[0].state == ItemState.RUNNING
        crash(desk)
    (item,) = desk.items()
    assert (item.state, item.error_code) == ("quarantined", "DECODER_CRASH")
    assert desk.task(task_id).state == TaskState.QUARANTINED
    desk.assert_counted(job_id)


def test_poison_frame_gets_a_substitute_and_everything_that_read_it_is_done_again(desk: Desk) -> None:
    job_id = desk.probed_reel(32, (0, 8), (8, 16), (16, 24), (24, 32), handle_frames=8)
    first, second, third, fourth = _all(desk)
    for lease in (first, third, fourth):
        ledger.complete_task(desk.db, lease, TaskResult(outputs={"chunk": blob()}, frames=8))
    ledger.quarantine_frame(desk.db, second, 9, "signal 9")
    (item,) = desk.items()
    (entry,) = json.loads(item.substitutes_json)
    assert (entry["frame"], entry["use"]) == (9, 8)
    ready = desk.open_tasks()
    # 24..32 never read frame 9; the others did, with their handles.
    assert sorted((task.start_frame, task.stop_frame) for task in ready) == [(0, 8), (8, 16), (16, 24)]
    assert desk.items()[0].frames_done == 8
    desk.assert_counted(job_id)


def test_a_frame_that_stood_in_for_another_can_turn_bad_too(desk: Desk) -> None:
    desk.probed_reel(8, (0, 8))
    ledger.quarantine_frame(desk.db, desk.next_lease(), 3, "signal 9")
    ledger.quarantine_frame(desk.db, desk.next_lease(), 2, "signal 9")
    entries = json.loads(desk.items()[0].substitutes_json)
    assert {entry["frame"]: entry["use"] for entry in entries} == {3: 4, 2: 1}


@pytest.mark.parametrize(("policy", "state"), [("fail", "quarantined"), ("black", "running")])
def test_recipe_says_what_becomes_of_a_bad_frame(desk: Desk, policy: str, state: str) -> None:
    recipe = parse(f"recipe: []\nbad_frames: {policy}", "r")
    desk.submit([reel(0)], recipe=recipe)
    desk.hire()
    ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=facts(8)))
    desk.plan((0, 8))
    ledger.quarantine_frame(desk.db, desk.next_lease(), 3, "signal 9")
    (item,) = desk.items()
    assert item.state == state
    if policy == "black":
        assert json.loads(item.substitutes_json)[0]["use"] is None


def test_nearest_good_frame_is_the_earlier_of_two() -> None:
    assert nearest_good(5, {5}, 10) == 4
    assert nearest_good(0, {0}, 10) == 1
    assert nearest_good(5, {4, 5}, 10) == 6
    assert nearest_good(0, {0}, 1) is None


def test_crashing_bundle_sends_its_first_open_still_on_alone(desk: Desk) -> None:
    job_id = desk.submit([still(number) for number in range(5)])
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    ledger.release_dead_worker(desk.db, "w1", forgive=False)
    desk.hire("w2")
    crash(desk)
    alone, rest = desk.open_tasks()
    groups = {task.id: [item.seq for item in desk.items() if item.task_id == task.id] for task in (alone, rest)}
    assert groups == {alone.id: [1], rest.id: [2, 3, 4]}
    assert crash(desk) == alone.id
    assert desk.task(alone.id).isolate
    lease = desk.next_lease()
    assert lease.task_id == alone.id
    ledger.fail_still(desk.db, lease, 2, FAILURE, ItemState.QUARANTINED)
    assert desk.items()[1].state == ItemState.QUARANTINED
    ledger.finish_bundle(desk.db, lease)
    lease = desk.next_lease()
    for item_id in (3, 4, 5):
        ledger.complete_still(desk.db, lease, item_id, done_still())
    ledger.finish_bundle(desk.db, lease)
    assert [item.state for item in desk.items()] == ["done", "quarantined", "done", "done", "done"]
    desk.assert_counted(job_id)


def test_a_still_that_moved_to_another_bundle_is_refused_under_the_old_one(desk: Desk) -> None:
    desk.submit([still(0), still(1)])
    desk.hire()
    crash(desk)
    crash(desk)
    lease = desk.next_lease()
    with pytest.raises(LeaseLost):
        ledger.complete_still(desk.db, lease, 2, done_still())
    with pytest.raises(LeaseLost):
        ledger.fail_still(desk.db, lease, 2, FAILURE)


@pytest.mark.parametrize("line", [reel(0), still(0)])
def test_what_cannot_be_divided_is_isolated_and_only_then_quarantined(desk: Desk, line: ledger.NewLine) -> None:
    """Two deaths prove nothing: machines fall, and people end workers by force."""
    job_id = desk.submit([line])
    desk.hire()
    for _ in range(2):
        crash(desk)
    (task,) = desk.open_tasks()
    assert (task.isolate, task.lost_count) == (True, 0)
    for _ in range(4):
        assert desk.items()[0].state == ItemState.RUNNING
        crash(desk)
    assert desk.items()[0].state == ItemState.QUARANTINED
    assert desk.items()[0].error_code == "DECODER_CRASH"
    desk.assert_counted(job_id)


def test_work_that_was_seen_to_kill_its_process_is_quarantined_at_once(desk: Desk) -> None:
    job_id = desk.probed_reel(32, (0, 16), (16, 32))
    ledger.fail_item(desk.db, desk.next_lease(), FAILURE, ItemState.QUARANTINED)
    assert [task.state for task in desk.tasks(kind="restore")] == [TaskState.QUARANTINED, TaskState.CANCELLED]
    assert desk.items()[0].state == ItemState.QUARANTINED
    desk.assert_counted(job_id)


def test_forgiven_deaths_count_against_nobody(desk: Desk) -> None:
    desk.probed_reel(8, (0, 8))
    for number in range(6):
        lease = desk.next_lease()
        ledger.release_dead_worker(desk.db, lease.boot_id, forgive=True)
        desk.hire(f"x{number}")
    assert desk.task(lease.task_id).state == TaskState.READY
    assert desk.task(lease.task_id).lost_count == 0


def test_too_little_memory_plans_the_reel_again_in_smaller_cells_then_fails(desk: Desk) -> None:
    job_id = desk.probed_reel(16, (0, 8), (8, 16))
    first, second = _all(desk)
    ledger.complete_task(desk.db, first, TaskResult(outputs={"chunk": blob()}, frames=8))
    ledger.replan_smaller(desk.db, second, ledger.Failure("OUT_OF_MEMORY", "m", "r"))
    assert [task.dropped for task in desk.tasks(kind="restore", state="done")] == [True]
    (view,) = ledger.due_reels(desk.db)
    assert (view.batch_frames, view.done) == (4, {TaskKind.PROBE: 1})
    assert desk.items()[0].frames_done == 0
    desk.assert_counted(job_id)
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(TaskKind.RESTORE, 0, 16)], "sig", 1, 0))
    ledger.replan_smaller(desk.db, desk.next_lease(), ledger.Failure("OUT_OF_MEMORY", "m", "r"))
    assert desk.items()[0].error_code == "OUT_OF_MEMORY"
    desk.assert_counted(job_id)


def test_reel_is_planned_again_when_no_worker_of_its_kind_is_left(desk: Desk) -> None:
    desk.probed_reel(8, (0, 8))
    later = desk.later(700)
    assert ledger.replan_stranded(later.db, 600) == 0  # nobody lives: they may come back as they were
    ledger.register_worker(later.db, ledger.WorkerIdentity("new", "host", 2, "auto", "", {}))
    assert ledger.replan_stranded(later.db, 600) == 0  # nor may one that loads be taken for another kind
    ledger.equip_worker(later.db, "new", "cpu", "other", {})
    assert ledger.replan_stranded(later.db, 600) == 1
    (view,) = ledger.due_reels(desk.db)
    assert view.signature is None
    assert [task.state for task in desk.tasks(kind="restore")] == [TaskState.CANCELLED]


def test_blobs_of_lost_attempts_are_swept_but_never_an_accepted_still(desk: Desk) -> None:
    desk.submit([still(0), still(1)])
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    ledger.release_dead_worker(desk.db, "w1", forgive=True)
    due = [prefix for _, prefix in ledger.due_sweeps(desk.later(1000).db)]
    assert due == [f"jobs/1/items/2/g1/restore/t{lease.task_id}-a1-w1/"]
    assert ledger.due_sweeps(desk.db) == []


def _all(desk: Desk) -> list[ledger.Lease]:
    leases: list[ledger.Lease] = []
    while bells := desk.dispatch() if len(leases) < 20 else []:
        for bell in bells:
            lease = desk.lease(bell)
            assert lease is not None
            leases.append(lease)
        desk.hire(f"more{len(leases)}")
    return leases


@pytest.mark.parametrize("end", [ledger.replan_smaller, ledger.fail_item])
def test_a_bundle_that_ends_as_a_whole_ends_its_open_stills(desk: Desk, end) -> None:  # type: ignore[no-untyped-def]
    job_id = desk.submit([still(0), still(1)])
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    end(desk.db, lease, FAILURE)
    assert [item.state for item in desk.items()] == ["done", "failed"]
    ledger.fold_counters(desk.db)
    assert ledger.finish_jobs(desk.db) == 1
    desk.assert_counted(job_id)


def test_two_tasks_of_a_reel_that_crash_together_leave_nothing_alive_in_quarantine(desk: Desk) -> None:
    job_id = desk.probed_reel(24, (0, 8), (8, 24))
    for _ in range(3):  # the single cell is isolated by then, and its sibling not yet split
        crash(desk)
    with desk.db.write() as connection:
        connection.exec_driver_sql(
            "UPDATE tasks SET state = 'ready', lost_count = CASE WHEN isolate THEN 3 ELSE 1 END WHERE kind = 'restore'"
        )
    for bell in desk.dispatch():
        assert desk.lease(bell) is not None
    assert ledger.reap(desk.later(LEASE_SECONDS + 1).db) == 2
    assert desk.items()[0].state == ItemState.QUARANTINED
    assert desk.open_tasks() == []
    desk.assert_counted(job_id)
