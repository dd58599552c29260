"""What the administrator of an installation looks at. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import InstrumentedAttribute

from db.records import read_column, read_object, read_word
from db.session import Database
from db.states import DeliveryState, Role, WebhookEvent
from db.tables import ApiToken, AuditEntry, Delivery, Webhook


@dataclass(frozen=True)
class TokenRow:
    """One token, without its secret. Times are seconds since 1970."""

    id: int
    name: str
    role: Role
    prefix: str
    """How the secret begins."""
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    """To the minute; none for one that was never used."""
    revoked_at: float | None


@dataclass(frozen=True)
class WebhookRow:
    """One address that is told how jobs end, without its secret."""

    id: int
    url: str
    events: tuple[WebhookEvent, ...]
    created_at: float
    disabled: bool


@dataclass(frozen=True)
class DeliveryRow:
    """One message to a webhook."""

    id: int
    event: WebhookEvent
    job_id: int
    state: DeliveryState
    attempts: int
    created_at: float
    next_at: float
    last_status: int | None
    last_error: str


@dataclass(frozen=True)
class DeliveryPage:
    """Some messages to a webhook, newest first."""

    rows: tuple[DeliveryRow, ...]
    more: bool


@dataclass(frozen=True)
class AuditRow:
    """One deed."""

    id: int
    at: float
    who: str
    action: str
    what: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class AuditPage:
    """Some deeds, newest first."""

    rows: tuple[AuditRow, ...]
    more: bool


def tokens(db: Database) -> tuple[TokenRow, ...]:
    """Return all tokens, oldest first, those that expired or were revoked too."""
    with db.read() as connection:
        rows = connection.execute(select(ApiToken.__table__).order_by(ApiToken.id)).all()
    return tuple(
        TokenRow(
            row.id, row.name, read_word(Role, row.role, f"token {row.id}"), row.prefix, row.created_at,
            row.expires_at, row.last_used_at, row.revoked_at,
        )
        for row in rows
    )  # fmt: skip


def webhooks(db: Database) -> tuple[WebhookRow, ...]:
    """Return all webhooks, oldest first."""
    with db.read() as connection:
        rows = connection.execute(select(Webhook.__table__).order_by(Webhook.id)).all()
    return tuple(
        WebhookRow(
            row.id, row.url, read_column(tuple[WebhookEvent, ...], row.events_json, f"webhook {row.id}"),
            row.created_at, row.disabled,
        )
        for row in rows
    )  # fmt: skip


def delivery_page(db: Database, webhook_id: int, *, before_id: int | None = None, limit: int = 100) -> DeliveryPage:
    """Return messages to a webhook, newest first, older than ``before_id``; none begins with the newest."""
    wanted = select(Delivery.__table__).where(Delivery.webhook_id == webhook_id)
    rows = _newest(db, wanted, Delivery.id, before_id, limit)
    return DeliveryPage(tuple(_delivery_row(row) for row in rows[:limit]), len(rows) > limit)


def audit_page(db: Database, *, before_id: int | None = None, limit: int = 100) -> AuditPage:
    """Return deeds, newest first, older than ``before_id``; none begins with the newest."""
    rows = _newest(db, select(AuditEntry.__table__), AuditEntry.id, before_id, limit)
    return AuditPage(tuple(_audit_row(row) for row in rows[:limit]), len(rows) > limit)


def _newest(
    db: Database, wanted: Select[Any], number: InstrumentedAttribute[int], before_id: int | None, limit: int
) -> list[Row[Any]]:
    """Return one row more than ``limit`` where there are so many."""
    if before_id is not None:
        wanted = wanted.where(number < before_id)
    with db.read() as connection:
        return list(connection.execute(wanted.order_by(number.desc()).limit(limit + 1)))


def _delivery_row(row: Row[Any]) -> DeliveryRow:
    where = f"delivery {row.id}"
    event, state = read_word(WebhookEvent, row.event, where), read_word(DeliveryState, row.state, where)
    times = (row.attempts, row.created_at, row.next_at)
    return DeliveryRow(row.id, event, row.job_id, state, *times, row.last_status, row.last_error)


def _audit_row(row: Row[Any]) -> AuditRow:
    detail = read_object(row.detail_json, f"audit {row.id}")
    return AuditRow(row.id, row.at, row.who, row.action, row.what, detail)
