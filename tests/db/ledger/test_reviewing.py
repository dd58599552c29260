"""What lies beyond a gate waits for a person, whose word is kept, may be changed, and stays with its generation."""

from __future__ import annotations

import math

import pytest

from db import administration, judgments, ledger
from db.errors import InputError
from db.judgments import ReviewRow
from db.ledger import reviewing
from db.records import BelowGate, ItemResult
from db.selection import Selection
from db.session import Database
from db.states import ItemState, Verdict
from tests.db.desk import Desk, blob, still

GATES = (
    BelowGate(metric="luma_psnr", gate=">= 30", value=24.0, start_frame=3, stop_frame=9),
    BelowGate(metric="luma_psnr", gate=">= 30", value=29.7),
    BelowGate(metric="flicker", gate="<= 0", value=0.5),
)


def finish_still(desk: Desk, *below_gates: BelowGate) -> None:
    lease = desk.next_lease()
    ledger.complete_still(desk.db, lease, 1, ItemResult(outputs={"still": blob()}, below_gates=below_gates))
    ledger.finish_bundle(desk.db, lease)


def reviewed_job(database: Database, *below_gates: BelowGate) -> Desk:
    desk = Desk(database)
    desk.submit([still(0)])
    desk.hire()
    finish_still(desk, *below_gates)
    return desk


def rows(database: Database, *, decided: bool = False) -> list[ReviewRow]:
    return list(judgments.review_page(database, decided=decided).rows)


def test_what_lies_farthest_from_its_gate_comes_first(database: Database) -> None:
    reviewed_job(database, *GATES)
    found = rows(database)
    assert [(row.metric, row.value) for row in found] == [("flicker", 0.5), ("luma_psnr", 24.0), ("luma_psnr", 29.7)]
    assert [row.distance for row in found] == pytest.approx([0.5, 0.2, 0.01])
    first = found[1]
    assert (first.job_id, first.item_id, first.external_id, first.kind, first.generation) == (
        1,
        1,
        "still0",
        "still",
        1,
    )
    assert (first.gate, first.start_frame, first.stop_frame) == (">= 30", 3, 9)
    assert (first.verdict, first.by, first.note, first.decided_at) == (None, "", "", None)


def test_a_verdict_is_kept_changed_and_taken_back(database: Database) -> None:
    reviewed_job(database, *GATES)
    number = rows(database)[0].id
    ledger.decide(database, number, Verdict.REJECTED, "anna", " It pulses.\r\nLook at 7. ")
    (row,) = rows(database, decided=True)
    assert (row.id, row.verdict, row.by, row.note) == (number, Verdict.REJECTED, "anna", "It pulses.\nLook at 7.")
    assert row.decided_at is not None
    assert number not in [row.id for row in rows(database)]
    ledger.decide(database, number, Verdict.ACCEPTED, "bert")
    (row,) = rows(database, decided=True)
    assert (row.verdict, row.by, row.note) == (Verdict.ACCEPTED, "bert", "")
    ledger.decide(database, number, None, "anna")
    assert rows(database, decided=True) == []
    row = rows(database)[0]
    assert (row.id, row.verdict, row.by, row.decided_at) == (number, None, "", None)
    deeds = administration.audit_page(database).rows
    assert [(deed.who, deed.detail["verdict"], deed.detail["before"]) for deed in deeds] == [
        ("anna", None, "accepted"), ("bert", "accepted", "rejected"), ("anna", "rejected", None),
    ]  # fmt: skip


def test_a_rerun_supersedes_what_nobody_decided_and_keeps_what_was(database: Database) -> None:
    desk = reviewed_job(database, *GATES)
    decided, left, other = rows(database)
    ledger.decide(database, decided.id, Verdict.REJECTED, "anna")
    ledger.rerun(database, 1, Selection((ItemState.DONE,)))
    assert len(rows(database)) == 2  # until there is a new result, the old one holds
    finish_still(desk, GATES[1])
    (fresh,) = rows(database)
    assert (fresh.generation, fresh.value) == (2, 29.7)
    assert [row.id for row in rows(database, decided=True)] == [decided.id]
    of_item = judgments.item_reviews(database, [1])[1]
    assert [(row.id, row.verdict) for row in of_item] == [
        (decided.id, Verdict.REJECTED), (left.id, Verdict.SUPERSEDED), (other.id, Verdict.SUPERSEDED), (fresh.id, None),
    ]  # fmt: skip
    ledger.decide(database, decided.id, Verdict.ACCEPTED, "anna")
    with pytest.raises(InputError) as superseded:
        ledger.decide(database, left.id, Verdict.ACCEPTED, "anna")
    assert superseded.value.code == "REVIEW_SUPERSEDED"


def test_a_result_that_meets_every_gate_waits_for_nobody(database: Database) -> None:
    reviewed_job(database)
    assert rows(database) == []
    assert judgments.item_reviews(database, [1, 2]) == {}


def test_what_is_no_number_is_the_worst_of_all(database: Database) -> None:
    odd = [BelowGate(metric="m", gate="> 1", value=value) for value in (math.nan, math.inf, -1e300, 0.5)]
    reviewed_job(database, *odd)
    assert [row.value for row in rows(database)][-1] == 0.5
    assert sorted(row.value is None for row in rows(database)) == [False, False, True, True]
    assert all(row.distance <= reviewing.FARTHEST for row in rows(database))


def test_of_too_many_the_worst_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "MOST_REVIEWS", 3)
    reviewed_job(database, *(BelowGate(metric="m", gate="> 10", value=value) for value in (5, 9, 1, 8, 2)))
    assert [row.value for row in rows(database)] == [1, 2, 5]


@pytest.mark.parametrize(
    ("number", "verdict", "by", "note", "code"),
    [
        (99, Verdict.ACCEPTED, "anna", "", "UNKNOWN_REVIEW"),
        (1, Verdict.SUPERSEDED, "anna", "", "BAD_VALUE"),
        (1, Verdict.ACCEPTED, "", "", "BAD_VALUE"),
        (1, Verdict.ACCEPTED, "anna", "a" * 2001, "BAD_VALUE"),
        (1, Verdict.ACCEPTED, "anna", "\0", "BAD_VALUE"),
        (1, Verdict.ACCEPTED, "anna", "\ud800", "BAD_VALUE"),
    ],
)
def test_what_is_no_verdict_is_refused(
    database: Database, number: int, verdict: Verdict, by: str, note: str, code: str
) -> None:
    reviewed_job(database, GATES[0])
    with pytest.raises(InputError) as refused:
        ledger.decide(database, number, verdict, by, note)
    assert refused.value.code == code
    assert rows(database)[0].verdict is None
    assert administration.audit_page(database).rows == ()
