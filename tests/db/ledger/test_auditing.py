from __future__ import annotations

from contextlib import suppress

from db import administration, ledger
from db.ledger import auditing
from db.session import Database


def test_deeds_are_read_newest_first_page_by_page(database: Database) -> None:
    for number in range(5):
        ledger.note(database, "anna", "job.cancel", f"job {number}", {"count": number})
    first = administration.audit_page(database, limit=3)
    rest = administration.audit_page(database, before_id=first.rows[-1].id, limit=3)
    assert [row.what for row in first.rows + rest.rows] == [f"job {number}" for number in (4, 3, 2, 1, 0)]
    assert (first.more, rest.more) == (True, False)
    assert {(row.who, row.action) for row in first.rows} == {("anna", "job.cancel")}
    assert first.rows[0].detail == {"count": 4}
    assert first.rows[0].at >= rest.rows[-1].at > 1e9


def test_a_deed_and_its_note_stand_or_fall_together(database: Database) -> None:
    with suppress(ZeroDivisionError), database.write() as connection:
        ledger.note(database, "anna", "a", "b", within=connection)
        raise ZeroDivisionError
    assert administration.audit_page(database).rows == ()


def test_no_text_is_too_long_or_too_odd_to_be_noted(database: Database) -> None:
    odd = "\0\ud800\n\u202e" * 1000
    ledger.note(database, odd, odd, odd, {odd: odd, "object": object()})
    (row,) = administration.audit_page(database).rows
    assert [len(row.who), len(row.action), len(row.what)] == [100, 60, 300]
    assert (row.who + row.action + row.what).isprintable()
    assert len(str(row.detail["cut"])) < auditing.MOST_DETAIL
