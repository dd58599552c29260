"""Registered weights: one row a card, replaced whole, and kept as long as a job needs their files."""

from __future__ import annotations

import pytest

from db import ledger, progress
from db.errors import InputError
from db.recipe import Pin, PinnedFile, Recipe, Step, parse
from db.records import TaskResult
from db.session import Database
from db.states import ItemState
from tests.db.desk import Desk, done_still, facts, reel, still


def file(digest: str) -> PinnedFile:
    return PinnedFile(key=f"weights/{digest}/w.pth", sha256=digest, bytes=7)


def add(database: Database, digest: str, card: str = "tint") -> None:
    ledger.add_weights(database, ledger.NewWeights(card, (file(digest),), "somewhere", license_accepted=True))


def pinning(digest: str) -> Recipe:
    pin = Pin(card="tint", architecture="tint", build="tint", files=(file(digest),))
    step = Step(stage="colorize", params=parse("- colorize: {model: tint}", "r").steps[0].params, pins=(pin,))
    return Recipe(name="r", steps=(step,))


def submitted(database: Database, digest: str) -> int:
    return ledger.open_job(database, ledger.JobRequest("job", "m.csv", digest, pinning(digest))).id


def test_weights_are_registered_replaced_and_forgotten(database: Database) -> None:
    assert progress.weights(database) == {}
    add(database, "a" * 64)
    add(database, "b" * 64)
    add(database, "c" * 64, "eccv16")
    found = progress.weights(database)
    assert list(found) == ["eccv16", "tint"]
    assert found["tint"].files == (file("b" * 64),)
    assert found["tint"].license_accepted
    assert found["tint"].added_at > 1e9
    assert found["tint"].pin.build == "tint"
    ledger.remove_weights(database, "tint")
    assert list(progress.weights(database)) == ["eccv16"]
    with pytest.raises(InputError) as caught:
        ledger.remove_weights(database, "tint")
    assert caught.value.code == "MODEL_MISSING"


def test_weights_of_a_card_that_this_release_does_not_know_are_passed_over(database: Database) -> None:
    add(database, "a" * 64, "from-the-future")
    assert progress.weights(database) == {}


def test_a_file_is_in_use_while_a_card_or_a_job_that_is_not_over_holds_it(database: Database) -> None:
    one, other = "a" * 64, "b" * 64
    add(database, one)
    assert ledger.weights_in_use(database, one)
    job = submitted(database, one)
    add(database, other)
    assert ledger.weights_in_use(database, one)
    ledger.cancel_job(database, job)
    assert not ledger.weights_in_use(database, one)
    assert ledger.weights_in_use(database, other)


def test_a_file_that_one_line_alone_pins_is_in_use_until_the_job_is_done(database: Database) -> None:
    one, desk = "a" * 64, Desk(database)
    job = desk.submit([still(0)._replace(recipe=pinning(one)), still(1)])
    assert ledger.weights_in_use(database, one)
    assert not ledger.weights_in_use(database, "b" * 64)
    desk.hire()
    while desk.open_tasks():
        lease = desk.next_lease()
        for item in ledger.read_assignment(database, lease).stills:
            ledger.complete_still(database, lease, item.id, done_still())
        ledger.finish_bundle(database, lease)
    ledger.fold_counters(database)
    assert ledger.weights_in_use(database, one)  # the loop has not closed the job yet
    ledger.finish_jobs(database)
    assert desk.job_state(job) == "done"
    assert not ledger.weights_in_use(database, one)


def test_a_file_is_in_use_again_when_its_job_is_run_again(database: Database) -> None:
    one, desk = "a" * 64, Desk(database)
    job = desk.submit([reel(0)], recipe=pinning(one))
    desk.hire()
    ledger.complete_task(database, desk.next_lease(), TaskResult(facts=facts(8)))
    ledger.cancel_job(database, job)
    assert not ledger.weights_in_use(database, one)
    ledger.rerun(database, job, ledger.Selection(states=(ItemState.CANCELLED,)))
    assert ledger.weights_in_use(database, one)
