"""Webhooks: who is told how jobs end. A message is written in the transaction that it tells of, and sent afterwards.

So none is lost with a process, and none tells of what was rolled back. It may arrive twice; then under the same id.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, true, update

from db.errors import InputError
from db.ledger.limits import line, refuse_more
from db.records import read_column, read_word
from db.session import Database
from db.states import DeliveryState, ItemState, JobState, WebhookEvent
from db.tables import CounterDelta, Delivery, Job, JobProgress, Webhook

MOST_WEBHOOKS = 100
MOST_URL = 2000
MOST_ERROR = 200
KEPT = 1000
"""Messages that are kept of each webhook; older ones are forgotten, sent or not."""
PAUSES_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0)
"""Between one try and the next: eight tries in thirty-two hours, as Standard Webhooks advises."""
SECRET_MARK = "whsec_"
MAIL = "mailto:"
"""Begins the address of somebody who is told by e-mail."""
_EVENTS = {event.value.removeprefix("job."): event for event in WebhookEvent}


@dataclass(frozen=True)
class NewWebhook:
    """A webhook that was added just now."""

    id: int
    secret: str
    """``whsec_`` and the key in base64, as Standard Webhooks spells it. For its owner; shown once."""


@dataclass(frozen=True)
class DueDelivery:
    """A message that is to be sent now."""

    id: int
    message_id: str
    """The same at each try."""
    url: str
    secret: str
    body: str
    """JSON, to be signed and sent as it stands."""
    attempts: int
    """Tries before this one."""


def add_webhook(db: Database, url: str, events: Sequence[WebhookEvent]) -> NewWebhook:
    """Have an address told of events from now on.

    Raises:
        InputError: ``BAD_VALUE`` or ``TOO_MANY_KEPT``.
    """
    with db.write() as connection:
        refuse_more(connection, Webhook, MOST_WEBHOOKS, "webhooks")
        return _add(db, connection, url, events, from_settings=False)


def follow_settings(db: Database, addresses: Sequence[str]) -> None:
    """Have the addresses that the settings name told of every end and pause, and those that they no longer name not.

    Raises:
        InputError: ``BAD_VALUE``.
    """
    named = Webhook.from_settings.is_(True)
    with db.write() as connection:
        connection.execute(delete(Webhook).where(named, Webhook.url.not_in(addresses)))
        there = set(connection.scalars(select(Webhook.url).where(named)))
        for address in dict.fromkeys(addresses):
            if address not in there:
                _add(db, connection, address, tuple(WebhookEvent), from_settings=True)


def _add(
    db: Database, connection: Connection, url: str, events: Sequence[WebhookEvent], *, from_settings: bool
) -> NewWebhook:
    address, wanted = line(url, MOST_URL, "url"), sorted({WebhookEvent(event) for event in events})
    if not address.startswith(("https://", "http://", MAIL)) or not wanted:
        raise InputError(
            f"A webhook needs an address that begins with https:// or {MAIL}, and at least one of {list(_EVENTS)}"
        )
    secret = SECRET_MARK + base64.b64encode(secrets.token_bytes(32)).decode()
    values = {
        "url": address, "secret": secret, "events_json": json.dumps(wanted), "created_at": db.now,
        "from_settings": from_settings,
    }  # fmt: skip
    new_id = connection.execute(insert(Webhook).values(values).returning(Webhook.id)).scalar_one()
    return NewWebhook(new_id, secret)


def switch_webhook(db: Database, webhook_id: int, *, disabled: bool) -> None:
    """Tell a webhook nothing more, or go on; raises ``UNKNOWN_WEBHOOK``."""
    with db.write() as connection:
        change = update(Webhook).where(Webhook.id == webhook_id).values(disabled=disabled)
        _demand(connection.execute(change).rowcount, webhook_id)


def remove_webhook(db: Database, webhook_id: int) -> None:
    """Forget a webhook and its messages; raises ``UNKNOWN_WEBHOOK``."""
    with db.write() as connection:
        _demand(connection.execute(delete(Webhook).where(Webhook.id == webhook_id)).rowcount, webhook_id)


def _demand(count: int, webhook_id: int) -> None:
    if not count:
        raise InputError(f"There is no webhook {webhook_id}", code="UNKNOWN_WEBHOOK")


def tell_webhooks(db: Database, connection: Connection, job_id: int, state: JobState) -> None:
    """Write a message to each webhook that wants to know that a job came to ``state``."""
    event = _EVENTS.get(state)
    if event is None:
        return
    rows = connection.execute(select(Webhook.id, Webhook.events_json).where(Webhook.disabled.is_(False))).all()
    wanting = [row.id for row in rows if event in read_column(tuple[str, ...], row.events_json, f"webhook {row.id}")]
    if not wanting:
        return
    body = _body(db, connection, job_id, state)
    values = {"event": event, "job_id": job_id, "body_json": body, "state": DeliveryState.PENDING}
    for webhook_id in wanting:
        values |= {"webhook_id": webhook_id, "message_id": f"msg_{secrets.token_hex(16)}"}
        connection.execute(insert(Delivery).values(**values, created_at=db.now, next_at=db.now))
        _forget_old(connection, webhook_id)


def _body(db: Database, connection: Connection, job_id: int, state: JobState) -> str:
    """Return what is told of a job: name, state, how many items are in which state."""
    names = [f"items_{each}" for each in ItemState]
    fresh = select(*(func.coalesce(func.sum(getattr(CounterDelta, name)), 0).label(name) for name in names))
    fresh_sums = fresh.where(CounterDelta.job_id == job_id).subquery()
    totals = [(func.coalesce(getattr(JobProgress, name), 0) + fresh_sums.c[name]).label(name) for name in names]
    wanted = select(Job.name, db.now.label("now"), *totals).join(
        JobProgress, JobProgress.job_id == Job.id, isouter=True
    )
    row = connection.execute(wanted.join(fresh_sums, true()).where(Job.id == job_id)).one()
    counts = {str(each): int(getattr(row, f"items_{each}")) for each in ItemState}
    if state is JobState.CANCELLED:  # the job is moved first; what was still open follows in the same transaction
        counts["cancelled"] += counts["pending"] + counts["running"]
        counts |= {"pending": 0, "running": 0}
    told = {"job_id": job_id, "name": row.name, "state": state, "counts": counts}
    moment = datetime.fromtimestamp(row.now, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"type": _EVENTS[state], "timestamp": moment, "data": told})


def _forget_old(connection: Connection, webhook_id: int) -> None:
    """Keep the newest messages of a webhook."""
    of_webhook = Delivery.webhook_id == webhook_id
    newest = select(Delivery.id).where(of_webhook).order_by(Delivery.id.desc()).offset(KEPT).limit(1)
    oldest_to_go = connection.scalar(newest)
    if oldest_to_go is not None:
        connection.execute(delete(Delivery).where(of_webhook, Delivery.id <= oldest_to_go))


def due_deliveries(db: Database, limit: int = 50) -> tuple[DueDelivery, ...]:
    """Return messages that are to be sent now, the longest due first."""
    wanted = (
        select(Delivery.__table__, Webhook.url, Webhook.secret)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.state == DeliveryState.PENDING, Delivery.next_at <= db.now, Webhook.disabled.is_(False))
        .order_by(Delivery.next_at, Delivery.id)
        .limit(limit)
    )
    with db.read() as connection:
        rows = connection.execute(wanted).all()
    return tuple(DueDelivery(row.id, row.message_id, row.url, row.secret, row.body_json, row.attempts) for row in rows)


def mark_delivered(db: Database, delivery_id: int, status: int) -> None:
    """Write down that a message arrived; one that is no longer there, or over, stays so."""
    _note_try(db, delivery_id, status, "", DeliveryState.DELIVERED)


def mark_failed(db: Database, delivery_id: int, status: int | None, error: str) -> DeliveryState | None:
    """Write down that a try failed; it is tried again after a pause that grows, or given up.

    Args:
        db: The database.
        delivery_id: The message.
        status: HTTP status of the answer; none when there was none.
        error: What went wrong, in a few words of our own: an answer's body is not kept.

    Returns:
        What became of it; none when it is no longer there, or over.
    """
    return _note_try(db, delivery_id, status, error, DeliveryState.GIVEN_UP)


def _note_try(
    db: Database, delivery_id: int, status: int | None, error: str, end: DeliveryState
) -> DeliveryState | None:
    pending = (Delivery.id == delivery_id, Delivery.state == DeliveryState.PENDING)
    with db.write() as connection:
        attempts = connection.scalar(select(Delivery.attempts).where(*pending).with_for_update())
        if attempts is None:
            return None
        again = end is DeliveryState.GIVEN_UP and attempts < len(PAUSES_SECONDS)
        state = DeliveryState.PENDING if again else end
        values: dict[str, Any] = {"state": state, "attempts": attempts + 1, "last_status": status}
        values["last_error"] = "".join(char if char.isprintable() else " " for char in error)[:MOST_ERROR]
        if again:
            values["next_at"] = db.now + PAUSES_SECONDS[attempts]
        connection.execute(update(Delivery).where(*pending).values(values))
    return read_word(DeliveryState, state, f"delivery {delivery_id}")
