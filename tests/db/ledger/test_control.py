from __future__ import annotations

import pytest

from db import ledger, progress
from db.errors import InputError, LeaseLost
from db.recipe import resolve
from db.records import ItemResult, TaskResult
from db.session import Database
from db.soundness import contradictions
from db.states import ItemState, JobState, TaskState
from tests.db.desk import LEASE_SECONDS, Desk, blob, done_still, facts, reel, still


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk whose clock stands: how long a test takes is no part of what it measures."""
    return Desk(database).later(0)


def finish_stills(desk: Desk) -> None:
    lease = desk.next_lease()
    for item in ledger.read_assignment(desk.db, lease).stills:
        ledger.complete_still(desk.db, lease, item.id, done_still())
    ledger.finish_bundle(desk.db, lease)
    ledger.fold_counters(desk.db)
    ledger.finish_jobs(desk.db)


def test_pause_voids_messages_and_tells_running_work_to_stop(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1)], bundle=1)
    desk.hire()
    first, second = desk.dispatch()
    lease = desk.lease(first)
    assert lease is not None
    ledger.pause_job(desk.db, job_id)
    assert desk.lease(second) is None
    assert desk.dispatch() == []
    assert ledger.heartbeat(desk.db, "w1", lease, 0, LEASE_SECONDS) == ledger.Renewal(held=True, stop=True)
    ledger.complete_still(desk.db, lease, 1, done_still())  # what is finished is kept
    ledger.release(desk.db, lease)
    ledger.resume_job(desk.db, job_id)
    assert {bell.task_id for bell in desk.dispatch()} == {first.task_id, second.task_id}
    desk.assert_counted(job_id)


def test_cancel_ends_everything_that_is_open_and_refuses_late_results(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1), reel(2)], bundle=1)
    desk.hire()
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, done_still())
    ledger.cancel_job(desk.db, job_id)
    with pytest.raises(LeaseLost):
        ledger.finish_bundle(desk.db, lease)
    assert [item.state for item in desk.items()] == ["done", "cancelled", "cancelled"]
    assert desk.open_tasks() == []
    assert desk.job_state(job_id) == JobState.CANCELLED
    desk.assert_counted(job_id)


@pytest.mark.parametrize("verb", [ledger.pause_job, ledger.resume_job, ledger.cancel_job])
def test_verbs_refuse_unknown_jobs_and_wrong_states(desk: Desk, verb) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as unknown:
        verb(desk.db, 99)
    assert unknown.value.code == "UNKNOWN_JOB"
    job_id = desk.submit([still(0)])
    desk.hire()
    finish_stills(desk)
    with pytest.raises(InputError) as wrong:
        verb(desk.db, job_id)
    assert wrong.value.code == "WRONG_STATE"


def test_rerun_makes_a_new_generation_and_keeps_what_was_there(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1)])
    desk.hire()
    finish_stills(desk)
    assert desk.job_state(job_id) == JobState.DONE
    selection = ledger.Selection(external_ids=("still1",))
    assert ledger.rerun(desk.db, job_id, selection, recipe=resolve("old-photo")) == 1
    assert desk.job_state(job_id) == JobState.RUNNING
    lease = desk.next_lease()
    (item,) = ledger.read_assignment(desk.db, lease).stills
    assert (item.generation, item.recipe.name) == (2, "old-photo")
    ledger.complete_still(desk.db, lease, item.id, done_still())
    ledger.finish_bundle(desk.db, lease)
    assert [(row.item_id, row.generation) for row in desk.results()] == [(1, 1), (2, 1), (2, 2)]
    newest = {row.external_id: result.generation for row, result in progress.results(desk.db, job_id) if result}
    assert newest == {"still0": 1, "still1": 2}
    desk.assert_counted(job_id)


def test_rerun_selects_by_state_and_code_and_says_when_nothing_fits(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1), still(2)])
    desk.hire()
    lease = desk.next_lease()
    ledger.fail_still(desk.db, lease, 1, ledger.Failure("CORRUPT", "m", "r"))
    ledger.fail_still(desk.db, lease, 2, ledger.Failure("TOO_LARGE", "m", "r"))
    with pytest.raises(InputError) as nothing:
        ledger.rerun(desk.db, job_id, ledger.Selection(external_ids=("still2",)))  # still running
    assert nothing.value.code == "NOTHING_SELECTED"
    assert ledger.rerun(desk.db, job_id, ledger.Selection(codes=("TOO_LARGE",))) == 1
    assert ledger.rerun(desk.db, job_id, ledger.Selection()) == 1
    assert [item.generation for item in desk.items()] == [2, 2, 1]
    desk.assert_counted(job_id)


def test_a_result_of_an_older_generation_is_refused_after_a_rerun(desk: Desk) -> None:
    job_id = desk.submit([reel(0)])
    desk.hire()
    late = desk.next_lease()
    ledger.cancel_job(desk.db, job_id)
    ledger.rerun(desk.db, job_id, ledger.Selection())
    with pytest.raises(LeaseLost):
        ledger.complete_task(desk.db, late, TaskResult(facts=facts(8)))
    assert desk.items()[0].facts_json is None
    desk.assert_counted(job_id)


def test_a_photograph_whose_line_was_bad_is_counted_from_its_rerun_on(desk: Desk) -> None:
    empty = still(1)._replace(error=ledger.LineError("ZERO_BYTE", "m", "r"))
    job_id = desk.submit([still(0), empty])
    desk.hire()
    finish_stills(desk)
    for _ in range(2):  # what was counted once is not counted again
        desk.assert_counted(job_id)
        assert ledger.rerun(desk.db, job_id, ledger.Selection(external_ids=("still1",))) == 1
        finish_stills(desk)
        shown = progress.progress(desk.db, job_id)
        assert (shown.frames_done, shown.frames_total, shown.items_done) == (2, 2, 2)
    desk.assert_counted(job_id)
    assert list(contradictions(desk.db)) == []


def test_an_unreadable_line_is_never_rerun(desk: Desk) -> None:
    error = ledger.LineError("FILE_MISSING", "m", "r")
    job_id = desk.submit([ledger.NewLine(0, "bad", 1, None, error=error)])
    ledger.finish_jobs(desk.db)
    assert desk.job_state(job_id) == JobState.DONE_WITH_FAILURES
    with pytest.raises(InputError):
        ledger.rerun(desk.db, job_id, ledger.Selection())


def test_a_reel_goes_from_probe_to_master_and_its_chunks_are_swept(desk: Desk) -> None:
    job_id = desk.probed_reel(16, (0, 8), (8, 16))
    for frames in (8, 8):
        ledger.complete_task(desk.db, desk.next_lease(), TaskResult(outputs={"chunk": blob()}, frames=frames))
    (view,) = ledger.due_reels(desk.db)
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(ledger_kind())], "sig", 8, 0))
    result = ItemResult(outputs={"master": blob("master")}, scores={"flicker": 0.1}, frames=16)
    ledger.complete_item(desk.db, desk.next_lease(), result)
    ledger.fold_counters(desk.db)
    ledger.finish_jobs(desk.db)
    assert desk.job_state(job_id) == JobState.DONE
    assert desk.items()[0].state == ItemState.DONE
    assert len(ledger.due_sweeps(desk.later(1000).db)) == 2
    shown = progress.progress(desk.db, job_id)
    assert (shown.frames_total, shown.frames_done, shown.bytes_out) == (16, 16, 10)
    desk.assert_counted(job_id)


def test_what_a_segment_made_for_the_result_itself_is_not_swept_with_its_chunk(desk: Desk) -> None:
    desk.probed_reel(16, (0, 8), (8, 16))
    for frames in (8, 8):
        ledger.complete_task(desk.db, desk.next_lease(), TaskResult(outputs={"chunk": blob()}, frames=frames))
    (view,) = ledger.due_reels(desk.db)
    ledger.add_tasks(desk.db, view, ledger.ReelPlan([ledger.NewTask(ledger_kind())], "sig", 8, 0))
    lease = desk.next_lease()
    key = f"jobs/1/items/1/g1/restore-0-8/t{desk.tasks(kind='restore')[0].id}-a1-w1/sequence.tar"
    archive = blob("sequence.tar").model_copy(update={"key": key})
    ledger.complete_item(desk.db, lease, ItemResult(outputs={"master": blob("master"), "sequence-000000": archive}))
    due = [prefix for _, prefix in ledger.due_sweeps(desk.later(1000).db)]
    assert len(due) == 1
    assert not any(key.startswith(prefix) for prefix in due)


def test_submitting_the_same_twice_gives_the_same_job(desk: Desk) -> None:
    request = ledger.JobRequest("job", "m", "k", resolve("identity"))
    first, second = ledger.open_job(desk.db, request), ledger.open_job(desk.db, request)
    assert (first.created, second.created, first.id == second.id) == (True, False, True)


def test_a_duplicate_id_that_slips_through_is_refused_by_the_database(desk: Desk) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError):
        desk.submit([still(0), still(0)])


def test_only_one_leads_until_its_term_ends(desk: Desk) -> None:
    assert ledger.lead(desk.db, "a", 15)
    assert not ledger.lead(desk.db, "b", 15)
    assert ledger.lead(desk.db, "a", 15)
    assert ledger.lead(desk.later(16).db, "b", 15)
    assert not ledger.lead(desk.later(17).db, "a", 15)
    ledger.resign(desk.db, "b")
    assert ledger.lead(desk.db, "a", 15)


def test_job_over_its_failure_threshold_is_named(desk: Desk) -> None:
    job_id = desk.submit([still(number) for number in range(4)])
    desk.hire()
    lease = desk.next_lease()
    for item_id in (1, 2, 3):
        ledger.fail_still(desk.db, lease, item_id, ledger.Failure("CORRUPT", "m", "r"))
    ledger.fold_counters(desk.db)
    assert ledger.over_threshold(desk.db, 0.5, 4) == []
    assert ledger.over_threshold(desk.db, 0.5, 3) == [(job_id, 3, 3)]


def _half_done(desk: Desk) -> tuple[int, ledger.Lease]:
    """A job of ten stills of which five were finished in ten seconds, and its lease."""
    job_id = desk.submit([still(number) for number in range(10)])
    desk.hire()
    lease = desk.next_lease()
    ledger.fold_counters(desk.db)
    for item_id in range(1, 6):
        ledger.complete_still(desk.db, lease, item_id, done_still())
    ledger.fold_counters(desk.later(10).db)
    return job_id, lease


def test_progress_rate_and_eta_come_from_the_folds(desk: Desk) -> None:
    job_id, _ = _half_done(desk)
    shown = progress.progress(desk.db, job_id)
    assert shown.frames_per_second == pytest.approx(0.5, rel=0.1)
    assert shown.eta_seconds == pytest.approx(10, rel=0.1)


def test_attempts_tell_the_story_of_an_item(desk: Desk) -> None:
    job_id = desk.probed_reel(8, (0, 8))
    ledger.release(desk.db, desk.next_lease(), message="WorkerLeaving")
    ledger.release_dead_worker(desk.db, desk.next_lease().boot_id, forgive=False)
    rows = progress.attempts(desk.db, job_id, "reel0")
    assert [(row.kind, row.attempt, row.outcome) for row in rows] == [
        ("probe", 1, "done"), ("restore", 1, "released"), ("restore", 2, "lost"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="no item"):
        progress.attempts(desk.db, job_id, "nobody")


def test_workers_are_shown_with_the_age_of_their_heartbeat(desk: Desk) -> None:
    desk.hire("w1")
    ledger.sign_off_worker(desk.db, "w1")
    (row,) = progress.workers(desk.later(5).db)
    assert (row.boot_id, row.state) == ("w1", "left")
    assert row.heartbeat_age_seconds == pytest.approx(5, abs=2)


def test_a_task_of_a_paused_job_goes_back_to_ready(desk: Desk) -> None:
    job_id = desk.submit([still(0)])
    desk.hire()
    (bell,) = desk.dispatch()
    ledger.pause_job(desk.db, job_id)
    assert desk.task(bell.task_id).state == TaskState.READY


def ledger_kind():  # type: ignore[no-untyped-def]
    from db.states import TaskKind

    return TaskKind.ASSEMBLE


def test_time_behind_the_last_frames_makes_no_rate_absurd(desk: Desk) -> None:
    job_id, lease = _half_done(desk)
    ledger.fail_still(desk.db, lease, 6, ledger.Failure("CORRUPT", "m", "r"))
    ledger.fold_counters(desk.later(300).db)
    assert progress.progress(desk.db, job_id).frames_per_second == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("how", ["paused", "stopped", "not begun"])
def test_time_in_which_nobody_worked_is_no_part_of_a_rate(desk: Desk, how: str) -> None:
    job_id = desk.submit([still(number) for number in range(20)])
    desk.hire()
    lease = desk.next_lease()
    for item_id in range(1, 6) if how != "not begun" else ():
        ledger.complete_still(desk.db, lease, item_id, done_still())
        ledger.fold_counters(desk.later(2 * item_id).db)
    if how == "paused":
        ledger.pause_job(desk.db, job_id)
        assert progress.progress(desk.db, job_id).frames_per_second == 0
        ledger.resume_job(desk.db, job_id)
    else:
        ledger.forget_rates(desk.db)
    for number, item_id in enumerate(range(6, 10)):
        ledger.complete_still(desk.db, lease, item_id, done_still())
        ledger.fold_counters(desk.later(36_000 + 2 * number).db)
    shown = progress.progress(desk.db, job_id)
    assert shown.frames_per_second == pytest.approx(0.5, rel=0.1)


def test_a_job_that_is_over_has_no_rate_and_no_time_to_go(desk: Desk) -> None:
    job_id = desk.submit([still(0), still(1)])
    desk.hire()
    ledger.fold_counters(desk.db)
    finish_stills(desk.later(4))
    shown = progress.progress(desk.db, job_id)
    assert desk.job_state(job_id) == JobState.DONE
    assert (shown.frames_per_second, shown.eta_seconds) == (0, None)
