"""What people type is kept within bounds before it becomes a row. Used inside ``db.ledger`` alone."""

from __future__ import annotations

import re

from sqlalchemy import Connection, func, select

from db.errors import InputError
from db.tables import Base

MOST_NAME = 100
MOST_NOTE = 2000
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Controls, and bytes that are no text: no database takes them all."""


def line(text: str, most: int, what: str) -> str:
    """Return a name: one line of printable text without blanks around it.

    Args:
        text: As it was typed.
        most: Characters at most.
        what: Which field it is, for the message.

    Raises:
        InputError: ``BAD_VALUE``.
    """
    plain = text.strip()
    if not plain or len(plain) > most or not plain.isprintable():
        raise InputError(f"{what}: {text!r:.80} is not one line of 1 to {most} printable characters")
    return plain


def paragraph(text: str, most: int, what: str) -> str:
    """Return a text that may be empty or have several lines; otherwise as :func:`line`."""
    plain = text.replace("\r\n", "\n").strip()
    if len(plain) > most or _NO_TEXT.search(plain):
        raise InputError(f"{what}: {text!r:.80} is longer than {most} characters, or holds control characters")
    return plain


def refuse_more(connection: Connection, table: type[Base], most: int, what: str) -> None:
    """Refuse one more row where ``most`` are there already.

    Raises:
        InputError: ``TOO_MANY_KEPT``.
    """
    if (connection.scalar(select(func.count()).select_from(table)) or 0) >= most:
        raise InputError(f"There are {most} {what} already, and no more are kept", code="TOO_MANY_KEPT")
