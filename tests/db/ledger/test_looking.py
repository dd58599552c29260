from __future__ import annotations

import pytest
from sqlalchemy import select, update

from db import ledger
from db.doorbells import LOOK_NAME
from db.errors import InputError
from db.ledger import looking
from db.session import Database
from db.states import LookState
from db.tables import Look, Sweep
from tests.db.desk import Desk

ORDER = {"frame": 7, "of": "source"}
ANSWER = {"frame": 7, "blob": {"key": "looks/1/x.png"}}


def _after(db: Database, seconds: float) -> Database:
    return Desk(db).later(seconds).db


def test_a_look_is_taken_once_and_answered_once(database: Database) -> None:
    bell = ledger.ask_look(database, ORDER)
    assert (bell.queue, bell.name) == ("light", LOOK_NAME)
    assert ledger.poll_look(database, bell.task_id) == ledger.LookStatus(LookState.READY)
    assert ledger.take_look(database, bell.task_id, bell.epoch, "w1") == ORDER
    assert ledger.take_look(database, bell.task_id, bell.epoch, "w2") is None
    assert ledger.poll_look(database, bell.task_id).state is LookState.RUNNING
    assert not ledger.answer_look(database, bell.task_id, "w2", ANSWER)
    assert ledger.answer_look(database, bell.task_id, "w1", ANSWER)
    assert not ledger.answer_look(database, bell.task_id, "w1", {"code": "CORRUPT"})
    assert ledger.poll_look(database, bell.task_id) == ledger.LookStatus(LookState.DONE, ANSWER)


def test_an_error_is_an_answer(database: Database) -> None:
    bell, failure = ledger.ask_look(database, ORDER), {"code": "CORRUPT", "message": "m", "remedy": "r"}
    ledger.take_look(database, bell.task_id, bell.epoch, "w1")
    ledger.answer_look(database, bell.task_id, "w1", failure)
    assert ledger.poll_look(database, bell.task_id) == ledger.LookStatus(LookState.FAILED, failure)


def test_forged_and_stale_doorbells_change_nothing(database: Database) -> None:
    bell = ledger.ask_look(database, ORDER)
    for look_id, epoch in ((bell.task_id, 0), (bell.task_id, 2), (bell.task_id + 1, 1), (-1, -1)):
        assert ledger.take_look(database, look_id, epoch, "w1") is None
    assert ledger.poll_look(database, bell.task_id).state is LookState.READY


def test_whoever_waits_rings_again_and_the_first_doorbell_is_void(database: Database) -> None:
    bell = ledger.ask_look(database, ORDER)
    later = _after(database, looking.RING_SECONDS + 1)
    again = ledger.poll_look(later, bell.task_id).bell
    assert again is not None
    assert ledger.poll_look(later, bell.task_id).bell is None
    assert ledger.take_look(later, bell.task_id, bell.epoch, "w1") is None
    assert ledger.take_look(later, again.task_id, again.epoch, "w1") == ORDER


def test_a_look_that_nobody_takes_is_given_up(database: Database) -> None:
    bell = ledger.ask_look(database, ORDER)
    later = _after(database, looking.WAIT_SECONDS + 1)
    assert ledger.take_look(later, bell.task_id, bell.epoch, "w1") is None
    assert ledger.poll_look(later, bell.task_id).answer["code"] == "STALLED"
    assert ledger.poll_look(database, bell.task_id).state is LookState.FAILED


@pytest.mark.parametrize("seconds", [looking.LEASE_SECONDS + 1, -3600])
def test_a_worker_that_is_gone_is_given_up_and_its_late_answer_refused(database: Database, seconds: float) -> None:
    """Also where the clock was set back meanwhile, and the lease ends in a future that is far off."""
    bell = ledger.ask_look(database, ORDER)
    ledger.take_look(database, bell.task_id, bell.epoch, "w1")
    status = ledger.poll_look(_after(database, seconds), bell.task_id)
    assert (status.state, status.answer["code"]) == (LookState.FAILED, "STALLED")
    assert not ledger.answer_look(database, bell.task_id, "w1", ANSWER)


def test_looks_are_forgotten_after_an_hour_and_their_pictures_swept(database: Database) -> None:
    old = ledger.ask_look(database, ORDER)
    later = _after(database, looking.KEPT_SECONDS + 1)
    young = ledger.ask_look(later, ORDER)
    assert ledger.forget_looks(later) == 1
    with pytest.raises(InputError) as unknown:
        ledger.poll_look(later, old.task_id)
    assert unknown.value.code == "UNKNOWN_LOOK"
    assert ledger.poll_look(later, young.task_id).state is LookState.READY
    with database.read() as connection:
        assert connection.scalars(select(Sweep.prefix)).all() == [f"looks/{old.task_id}/"]


def test_only_so_many_are_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MOST_OPEN", 3)
    first, *_ = (ledger.ask_look(database, ORDER) for _ in range(3))
    with pytest.raises(InputError) as full:
        ledger.ask_look(database, ORDER)
    assert full.value.code == "TOO_MANY_KEPT"
    ledger.take_look(database, first.task_id, first.epoch, "w1")
    ledger.answer_look(database, first.task_id, "w1", ANSWER)
    ledger.ask_look(database, ORDER)
    ledger.ask_look(_after(database, looking.WAIT_SECONDS + 1), ORDER)


def test_a_row_that_nobody_of_ours_wrote_is_named(database: Database) -> None:
    bell = ledger.ask_look(database, ORDER)
    with database.write() as connection:
        connection.execute(update(Look).values(order_json="[1]"))
    with pytest.raises(InputError) as unreadable:
        ledger.take_look(database, bell.task_id, bell.epoch, "w1")
    assert unreadable.value.code == "RECORD_UNREADABLE"


def test_a_look_hinders_no_job_and_counts_nowhere(database: Database) -> None:
    desk = Desk(database)
    job_id = desk.submit([])
    ledger.ask_look(database, ORDER)
    assert ledger.finish_jobs(database) == 1
    assert desk.job_state(job_id) == "done"
    desk.assert_counted(job_id)
