"""Who did what: rows that are only added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection, insert

from db.session import Database
from db.tables import AuditEntry

MOST_DETAIL = 4000


def note(
    db: Database,
    who: str,
    action: str,
    what: str,
    detail: Mapping[str, Any] | None = None,
    *,
    within: Connection | None = None,
) -> None:
    """Write down what somebody did. Too long texts are cut: no deed may fail because of its record.

    Args:
        db: The database.
        who: Name of the token or session.
        action: What was done, such as ``job.cancel``.
        what: What it was done to, such as ``job 7``.
        detail: What else matters, as JSON; no secrets.
        within: The transaction of the deed itself; none for one of its own.
    """
    text = json.dumps(detail or {}, default=str)
    if len(text) > MOST_DETAIL:
        text = json.dumps({"cut": text[: MOST_DETAIL // 2]})
    values = {"who": _cut(who, 100), "action": _cut(action, 60), "what": _cut(what, 300), "detail_json": text}
    with nullcontext(within) if within is not None else db.write() as connection:
        connection.execute(insert(AuditEntry).values(**values, at=db.now))


def _cut(text: str, most: int) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
