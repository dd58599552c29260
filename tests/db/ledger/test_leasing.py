from __future__ import annotations

import pytest

from db import ledger, progress
from db.errors import InputError, LeaseLost
from db.records import TaskResult
from db.session import Database
from db.states import JobState, TaskKind, TaskState
from tests.db.desk import LEASE_SECONDS, SIGNATURE, Desk, blob, done_still, facts, reel, still


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_nothing_is_dispatched_without_a_live_worker(desk: Desk) -> None:
    desk.submit([still(0)])
    assert desk.dispatch() == []
    desk.hire()
    assert len(desk.dispatch()) == 1
    later = desk.later(LEASE_SECONDS + 1)
    desk.set_state(1, "ready")
    assert later.dispatch() == []


def test_a_duplicated_doorbell_is_refused(desk: Desk) -> None:
    desk.submit([still(0)])
    desk.hire()
    (bell,) = desk.dispatch()
    assert desk.lease(bell) is not None
    assert desk.lease(bell, "w2") is None


def test_stale_forged_and_unknown_doorbells_change_nothing(desk: Desk) -> None:
    desk.submit([still(0)])
    desk.hire()
    (bell,) = desk.dispatch()
    for forged in (
        ledger.Doorbell(bell.task_id, bell.epoch + 1, "restore"),
        ledger.Doorbell(bell.task_id, bell.epoch - 1, "restore"),
        ledger.Doorbell(bell.task_id + 100, bell.epoch, "restore"),
    ):
        assert desk.lease(forged) is None
    assert desk.task(bell.task_id).state == TaskState.QUEUED
    assert desk.task(bell.task_id).attempt == 0


def test_a_task_bound_to_another_signature_is_refused(desk: Desk) -> None:
    desk.probed_reel(16, (0, 16))
    (bell,) = desk.dispatch()
    assert bell.queue == "restore-sig"
    assert ledger.lease(desk.db, bell.task_id, bell.epoch, "w9", "other", 60) is None
    assert desk.lease(bell) is not None


def test_broker_is_kept_short_by_live_slots(desk: Desk) -> None:
    desk.submit([still(number) for number in range(20)], bundle=1)
    desk.hire()
    assert len(desk.dispatch()) == 2
    assert desk.dispatch() == []
    desk.hire("w2")
    assert len(desk.dispatch()) == 2


def test_higher_priority_goes_first_then_age(desk: Desk) -> None:
    desk.submit([still(number) for number in range(3)], bundle=1)
    urgent = desk.submit([still(number) for number in range(3)], bundle=1, key="u")
    ledger.set_priority(desk.db, urgent, 5)
    desk.hire()
    bells = desk.dispatch()
    assert [desk.task(bell.task_id).job_id for bell in bells] == [urgent, urgent]
    assert [bell.task_id for bell in bells] == sorted(bell.task_id for bell in bells)


def test_heartbeat_renews_the_lease_and_reports_frames(desk: Desk) -> None:
    desk.submit([still(0)])
    desk.hire()
    lease = desk.next_lease()
    before = desk.task(lease.task_id).lease_until
    renewal = ledger.heartbeat(desk.later(30).db, "w1", lease, 7, LEASE_SECONDS)
    assert renewal == ledger.Renewal(held=True, stop=False)
    row = desk.task(lease.task_id)
    assert row.lease_until == pytest.approx(before + 30, abs=2)
    assert row.frames_done == 7


def test_frames_that_are_only_looked_at_are_none_that_were_restored(desk: Desk) -> None:
    job_id = desk.submit([reel(0)])
    desk.hire()

    def report(frames: int) -> ledger.Lease:
        lease = desk.next_lease()
        ledger.heartbeat(desk.db, "w1", lease, frames, LEASE_SECONDS)
        return lease

    def frames_done() -> int:
        return progress.progress(desk.db, job_id).frames_done

    probe = report(16)
    assert frames_done() == 0
    ledger.complete_task(desk.db, probe, TaskResult(facts=facts(16)))
    desk.plan((0, 16))
    segment = report(7)
    assert frames_done() == 7
    ledger.complete_task(desk.db, segment, TaskResult(outputs={"chunk": blob()}, frames=16))
    (view,) = ledger.due_reels(desk.db)
    read_back = ledger.ReelPlan([ledger.NewTask(TaskKind.READ_BACK, 0, 16)], SIGNATURE, 8, 0)
    assert ledger.add_tasks(desk.db, view, read_back)
    report(9)
    assert frames_done() == 16


def test_expired_lease_is_reaped_and_its_late_result_refused(desk: Desk) -> None:
    job_id = desk.probed_reel(16, (0, 16))
    late = desk.next_lease()
    assert ledger.reap(desk.db) == 0
    assert ledger.reap(desk.later(LEASE_SECONDS + 1).db) == 1
    assert desk.task(late.task_id).state == TaskState.READY
    with pytest.raises(LeaseLost):
        ledger.complete_task(desk.db, late, TaskResult(outputs={"chunk": blob()}, frames=16))
    fresh = desk.next_lease()
    assert fresh.attempt == late.attempt + 1
    with pytest.raises(LeaseLost):
        ledger.complete_task(desk.db, late, TaskResult(outputs={"chunk": blob()}, frames=16))
    assert ledger.heartbeat(desk.db, "w1", late, 0, LEASE_SECONDS) == ledger.Renewal(held=False, stop=True)
    ledger.complete_task(desk.db, fresh, TaskResult(outputs={"chunk": blob()}, frames=16))
    desk.assert_counted(job_id)


def test_same_attempt_number_of_another_worker_is_refused(desk: Desk) -> None:
    desk.submit([still(0)])
    desk.hire()
    lease = desk.next_lease()
    forged = ledger.Lease(lease.task_id, lease.attempt, "other")
    with pytest.raises(LeaseLost):
        ledger.complete_still(desk.db, forged, 1, done_still())


def test_released_task_costs_no_attempt(desk: Desk) -> None:
    desk.probed_reel(16, (0, 16))
    for _ in range(5):
        lease = desk.next_lease()
        ledger.release(desk.db, lease, message="shutdown")
        assert desk.task(lease.task_id).lost_count == 0
    with pytest.raises(LeaseLost):
        ledger.release(desk.db, lease)


def test_unanswered_doorbell_is_rung_again_only_while_a_worker_is_idle(desk: Desk) -> None:
    desk.submit([still(0), still(1)], bundle=1)
    desk.hire()
    first, second = desk.dispatch()
    lease = desk.lease(first)
    assert lease is not None
    later = desk.later(31)
    ledger.heartbeat(later.db, "w1", lease, 0, LEASE_SECONDS)
    assert ledger.ring_again(later.db, 30, LEASE_SECONDS) == []
    ledger.complete_still(desk.db, lease, 1, done_still())
    ledger.finish_bundle(desk.db, lease)
    (again,) = ledger.ring_again(later.db, 30, LEASE_SECONDS)
    assert (again.task_id, again.epoch) == (second.task_id, second.epoch + 1)
    assert desk.lease(second) is None
    assert desk.lease(again) is not None


def test_leases_can_be_held_over_an_outage(desk: Desk) -> None:
    desk.submit([still(0)])
    desk.hire()
    desk.next_lease()
    later = desk.later(LEASE_SECONDS + 1)
    assert ledger.running_tasks(later.db) == (1, 1)
    ledger.hold_leases(later.db, LEASE_SECONDS)
    assert ledger.running_tasks(later.db) == (1, 0)
    assert ledger.reap(later.db) == 0


def test_assignment_carries_the_stills_that_are_still_open(desk: Desk) -> None:
    desk.submit([still(0), still(1), still(2)])
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 2, done_still())
    assignment = ledger.read_assignment(desk.db, lease)
    assert [item.external_id for item in assignment.stills] == ["still0", "still2"]
    assert assignment.kind is TaskKind.RESTORE


def test_assembly_sees_parts_in_frame_order(desk: Desk) -> None:
    desk.probed_reel(24, (8, 24), (0, 8))
    for bell in reversed(desk.dispatch()):
        lease = desk.lease(bell)
        assert lease is not None
        name = f"chunk{bell.task_id}"
        ledger.complete_task(desk.db, lease, TaskResult(outputs={"chunk": blob(name)}, frames=8))
    (view,) = ledger.due_reels(desk.db)
    assert view.done[TaskKind.RESTORE] == 2
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(TaskKind.ASSEMBLE)], "sig", 8, 0))
    work = ledger.read_assignment(desk.db, desk.next_lease())
    assert [(part.start_frame, part.stop_frame) for part in work.parts] == [(0, 8), (8, 24)]
    assert work.blocks == ()


def test_a_block_is_read_back_from_the_segments_around_it_and_assembled_in_order(desk: Desk) -> None:
    desk.probed_reel(40, *((start, start + 8) for start in range(0, 40, 8)))
    for _ in range(5):
        ledger.complete_task(desk.db, desk.next_lease(), TaskResult(outputs={"chunk": blob("chunk")}, frames=8))
    (view,) = ledger.due_reels(desk.db)
    blocks = [ledger.NewTask(TaskKind.READ_BACK, *span) for span in ((16, 32), (0, 16), (32, 40))]
    ledger.add_tasks(desk.db, view, ledger.ReelPlan(blocks, "sig", 8, 0))
    seen = {}
    for _ in range(3):
        lease = desk.next_lease()
        work = ledger.read_assignment(desk.db, lease)
        seen[work.start_frame] = [part.start_frame for part in work.parts]
        ledger.complete_task(desk.db, lease, TaskResult(outputs={"frames": blob(f"{work.start_frame}")}, frames=16))
    # Of the neighbours before and the frame behind it, whole segments.
    assert seen == {0: [0, 8, 16], 16: [8, 16, 24, 32], 32: [24, 32]}
    (view,) = ledger.due_reels(desk.db)
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(TaskKind.ASSEMBLE)], "sig", 8, 0))
    work = ledger.read_assignment(desk.db, desk.next_lease())
    assert [(part.start_frame, part.outputs["frames"].key) for part in work.blocks] == [
        (0, blob("0").key), (16, blob("16").key), (32, blob("32").key),
    ]  # fmt: skip


def test_a_plan_is_written_once(desk: Desk) -> None:
    desk.submit([reel(0)])
    desk.hire()
    ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=facts(8)))
    (view,) = ledger.due_reels(desk.db)
    plan = ledger.ReelPlan([ledger.NewTask(TaskKind.RESTORE, 0, 8)], "sig", 8, 0)
    assert ledger.add_tasks(desk.db, view, plan)
    assert not ledger.add_tasks(desk.db, view, plan)
    assert len(desk.tasks(kind="restore")) == 1


def test_job_runs_from_its_first_dispatch(desk: Desk) -> None:
    job_id = desk.submit([still(0)])
    assert desk.job_state(job_id) == JobState.READY
    desk.hire()
    desk.dispatch()
    assert desk.job_state(job_id) == JobState.RUNNING


def test_nothing_starts_on_half_a_manifest(desk: Desk) -> None:
    job = ledger.open_job(desk.db, ledger.JobRequest("j", "m", "k", ledger_recipe()))
    ledger.add_lines(desk.db, job.id, [still(0)], bundle_stills=1)
    desk.hire()
    assert desk.dispatch() == []
    again = ledger.open_job(desk.db, ledger.JobRequest("j", "m", "k", ledger_recipe()))
    assert (again.id, again.created, again.ingested) == (job.id, False, 1)
    ledger.add_lines(desk.db, job.id, [still(1)], bundle_stills=1)
    ledger.close_ingest(desk.db, job.id)
    assert len(desk.dispatch()) == 2
    with pytest.raises(InputError, match="takes no more lines"):
        ledger.add_lines(desk.db, job.id, [still(2)], bundle_stills=1)


def ledger_recipe():  # type: ignore[no-untyped-def]
    from db.recipe import resolve

    return resolve("identity")


def test_a_survey_completes_the_facts_and_its_measures_go(desk: Desk) -> None:
    job_id = desk.submit([reel(0)])
    desk.hire()
    by_packets = facts(24).model_copy(update={"surveyed": False})
    ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=by_packets))
    (view,) = ledger.due_reels(desk.db)
    spans = [ledger.NewTask(TaskKind.INSPECT, 0, 16), ledger.NewTask(TaskKind.INSPECT, 16, 24)]
    ledger.add_tasks(desk.db, view, ledger.ReelPlan(spans, "sig", 8, 0))
    for _ in spans:
        ledger.complete_task(desk.db, desk.next_lease(), TaskResult(outputs={"frames": blob("frames")}))
    (view,) = ledger.due_reels(desk.db)
    assert view.item.facts is not None
    assert not view.item.facts.surveyed
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(TaskKind.MERGE)], "sig", 8, 0))
    # Decoded from beginning to end, the film has a frame less.
    ledger.complete_task(desk.db, desk.next_lease(), TaskResult(facts=facts(23)))
    (view,) = ledger.due_reels(desk.db)
    assert (view.item.facts, view.done) == (facts(23), {TaskKind.PROBE: 1, TaskKind.MERGE: 1})
    ledger.fold_counters(desk.db)
    assert progress.progress(desk.db, job_id).frames_total == 23


@pytest.mark.parametrize("with_reel", [False, True])
def test_as_many_workers_are_of_use_as_there_are_bundles_and_any_number_for_a_reel(desk: Desk, with_reel: bool) -> None:
    assert progress.useful_workers(desk.db) == 1
    desk.submit([still(0), still(1), still(2), *([reel(3)] if with_reel else [])])
    bundles = len([task for task in desk.open_tasks() if task.item_id is None])
    assert progress.useful_workers(desk.db) == (progress.MOST_WORKERS if with_reel else bundles)
