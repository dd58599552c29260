"""Webhooks are told of what happened and of nothing else, tried again for a while, and forgotten at last."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, select

from db import administration, ledger
from db.errors import InputError
from db.ledger import webhooks
from db.ledger.job_states import move_job
from db.selection import Selection
from db.session import Database
from db.states import DeliveryState, ItemState, JobState, WebhookEvent
from db.tables import Delivery
from tests.db.desk import Desk, done_still, still

URL = "https://archive.example/hook"


def told(database: Database) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in ledger.due_deliveries(database)]


def done_job(desk: Desk, *, key: str = "k", failed: bool = False) -> int:
    job_id = desk.submit([still(0), still(1)], key=key)
    desk.hire(f"w{key}")
    lease = desk.next_lease()
    first, second = (item.id for item in ledger.read_assignment(desk.db, lease).stills)
    ledger.complete_still(desk.db, lease, first, done_still())
    if failed:
        ledger.fail_still(desk.db, lease, second, ledger.Failure("CORRUPT", "torn", "Send a good copy."))
    else:
        ledger.complete_still(desk.db, lease, second, done_still())
    ledger.finish_bundle(desk.db, lease)
    ledger.fold_counters(desk.db)
    ledger.finish_jobs(desk.db)
    return job_id


def counts(**others: int) -> dict[str, int]:
    return {state.value: 0 for state in ItemState} | others


def test_every_end_and_pause_of_a_job_is_told_with_its_counts(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    desk = Desk(database)
    done, mixed = done_job(desk), done_job(desk, key="m", failed=True)
    stopped = desk.submit([still(0), still(1), still(2)], key="c")
    ledger.pause_job(database, stopped)
    ledger.resume_job(database, stopped)
    ledger.cancel_job(database, stopped)
    ledger.rerun(database, stopped, Selection())
    expected = [
        ("job.done", done, "done", counts(done=2)),
        ("job.done_with_failures", mixed, "done_with_failures", counts(done=1, failed=1)),
        ("job.paused", stopped, "paused", counts(pending=3)),
        ("job.cancelled", stopped, "cancelled", counts(cancelled=3)),
    ]
    bodies = told(database)
    found = [(each["type"], *(each["data"][name] for name in ("job_id", "state", "counts"))) for each in bodies]
    assert found == expected
    assert {each["data"]["name"] for each in bodies} == {"job"}
    assert all(each["timestamp"].endswith("+00:00") for each in bodies)


def test_each_webhook_is_told_what_it_wants_under_an_id_of_its_own(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    ledger.add_webhook(database, URL + "/2", [WebhookEvent.CANCELLED])
    silent = ledger.add_webhook(database, URL + "/3", list(WebhookEvent))
    ledger.switch_webhook(database, silent.id, disabled=True)
    job_id = Desk(database).submit([still(0)])
    ledger.pause_job(database, job_id)
    ledger.cancel_job(database, job_id)
    ledger.switch_webhook(database, silent.id, disabled=False)
    due = ledger.due_deliveries(database)
    assert [each.url.removeprefix(URL) for each in due] == ["", "", "/2"]
    assert len({each.message_id for each in due}) == 3
    assert [row.disabled for row in administration.webhooks(database)] == [False] * 3
    ledger.switch_webhook(database, 1, disabled=True)  # what it was to be told waits
    assert [each.url.removeprefix(URL) for each in ledger.due_deliveries(database)] == ["/2"]


def test_what_was_rolled_back_is_not_told(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    job_id = Desk(database).submit([still(0)])
    with suppress(ZeroDivisionError), database.write() as connection:
        move_job(database, connection, job_id, JobState.PAUSED)
        raise ZeroDivisionError
    assert ledger.due_deliveries(database) == ()


def test_a_failed_message_is_tried_eight_times_with_growing_pauses(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    ledger.pause_job(database, Desk(database).submit([still(0)]))
    now, pauses, states = ledger.clock(database), [], []
    for _ in range(8):
        moment = Database(database.engine, clock=now)
        (due,) = ledger.due_deliveries(moment)
        states.append(ledger.mark_failed(moment, due.id, 503, "no\nanswer " * 100))
        row = administration.delivery_page(database, 1).rows[0]
        pauses.append(row.next_at - now)
        assert ledger.due_deliveries(moment) == ()
        now = row.next_at + 0.001
    assert states == [DeliveryState.PENDING] * 7 + [DeliveryState.GIVEN_UP]
    assert pauses[:7] == sorted(set(pauses[:7]))
    assert sum(pauses[:7]) > 24 * 3600
    assert ledger.due_deliveries(Database(database.engine, clock=now + 1e9)) == ()
    assert ledger.mark_failed(database, due.id, None, "late") is None
    assert (row.attempts, row.last_status, len(row.last_error)) == (8, 503, webhooks.MOST_ERROR)


def test_a_message_that_arrived_is_not_sent_again(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    ledger.pause_job(database, Desk(database).submit([still(0)]))
    (due,) = ledger.due_deliveries(database)
    ledger.mark_delivered(database, due.id, 204)
    assert ledger.mark_failed(database, due.id, 500, "late") is None
    (row,) = administration.delivery_page(database, 1).rows
    assert (row.state, row.attempts, row.last_status) == (DeliveryState.DELIVERED, 1, 204)
    assert ledger.due_deliveries(database) == ()


def test_the_newest_messages_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "KEPT", 3)
    for number in (1, 2):
        ledger.add_webhook(database, f"{URL}/{number}", [WebhookEvent.PAUSED])
    job_id = Desk(database).submit([still(0)])
    for _ in range(5):
        ledger.pause_job(database, job_id)
        ledger.resume_job(database, job_id)
    first = administration.delivery_page(database, 2, limit=2)
    rest = administration.delivery_page(database, 2, before_id=first.rows[-1].id)
    assert ([row.id for row in (*first.rows, *rest.rows)], first.more, rest.more) == ([10, 8, 6], True, False)
    ledger.remove_webhook(database, 2)
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(Delivery)) == 3
    for refused in (ledger.remove_webhook, lambda db, number: ledger.switch_webhook(db, number, disabled=True)):
        with pytest.raises(InputError) as unknown:
            refused(database, 2)
        assert unknown.value.code == "UNKNOWN_WEBHOOK"


def test_a_webhook_needs_an_address_events_and_room(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, events in (
        ("ftp://a", [WebhookEvent.DONE]), ("", [WebhookEvent.DONE]), ("https://a\nb", [WebhookEvent.DONE]),
        ("https://" + "a" * 2000, [WebhookEvent.DONE]), (URL, []),
    ):  # fmt: skip
        with pytest.raises(InputError) as bad:
            ledger.add_webhook(database, url, events)
        assert bad.value.code == "BAD_VALUE"
    monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 1)
    secret = ledger.add_webhook(database, URL, [WebhookEvent.DONE]).secret
    assert secret.startswith("whsec_")
    assert secret not in repr(administration.webhooks(database))
    with pytest.raises(InputError) as full:
        ledger.add_webhook(database, URL, [WebhookEvent.DONE])
    assert full.value.code == "TOO_MANY_KEPT"


def test_a_clock_that_was_ahead_does_not_keep_a_message_back(database: Database) -> None:
    ledger.add_webhook(database, URL, list(WebhookEvent))
    ahead = Database(database.engine, clock=ledger.clock(database) + 1e7)
    ledger.pause_job(ahead, Desk(database).submit([still(0)]))
    ledger.disbelieve_future(database, 60, 60)
    later = Database(database.engine, clock=ledger.clock(database) + webhooks.PAUSES_SECONDS[-1] + 60)
    assert len(ledger.due_deliveries(later)) == 1
