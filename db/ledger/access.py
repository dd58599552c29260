"""Who may come in: tokens of programs, and sessions of browsers. Secrets are shown once and kept as digests alone."""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from db.errors import InputError
from db.ledger.limits import MOST_NAME, line, refuse_more
from db.records import read_word
from db.secret_text import digest
from db.session import Database
from db.states import Role
from db.tables import ApiToken, BrowserSession

TOKEN_MARK = "rw_"
"""What every token begins with, so that scanners for leaked secrets know one."""
SECRET_BYTES = 32
PREFIX_CHARACTERS = len(TOKEN_MARK) + 5
MOST_TOKENS = 1000
MOST_SESSIONS = 10_000
MOST_SESSION_SECONDS = 366 * 24 * 3600.0
USE_NOTED_SECONDS = 60.0
"""A token's last use is written no more often: who only reads shall hardly ever write."""
_TOKEN = re.compile(TOKEN_MARK + r"[A-Za-z0-9_-]{43}")
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Principal:
    """Who asks for something."""

    name: str
    role: Role
    token_id: int | None
    """None for a browser that came by a link that works once."""


def add_token(db: Database, name: str, role: Role, expires_at: float | None = None) -> str:
    """Make a token and return its secret, which is seen this once.

    Args:
        db: The database.
        name: Whose it is, for people; a name is given once and never again.
        role: What it may do.
        expires_at: When it ends, in seconds since 1970; none for never.

    Raises:
        InputError: ``BAD_VALUE``, ``NAME_TAKEN`` or ``TOO_MANY_KEPT``.
    """
    plain, secret = line(name, MOST_NAME, "name"), TOKEN_MARK + secrets.token_urlsafe(SECRET_BYTES)
    values = {"name": plain, "role": role, "sha256": digest(secret), "prefix": secret[:PREFIX_CHARACTERS]}
    try:
        with db.write() as connection:
            refuse_more(connection, ApiToken, MOST_TOKENS, "tokens")
            now = float(connection.execute(select(db.now)).scalar_one())
            if expires_at is not None and not (math.isfinite(expires_at) and expires_at > now):
                raise InputError("expires_at: a token must end later than now, or never")
            connection.execute(insert(ApiToken).values(**values, created_at=now, expires_at=expires_at))
    except IntegrityError as error:
        raise InputError(f"name: a token was called {plain!r} before", code="NAME_TAKEN") from error
    return secret


def revoke_token(db: Database, name: str) -> None:
    """End a token for good, and the sessions that it opened; one that was revoked before stays so.

    Raises:
        InputError: ``UNKNOWN_TOKEN``.
    """
    with db.write() as connection:
        row = connection.execute(
            select(ApiToken.id, ApiToken.revoked_at).where(ApiToken.name == name).with_for_update()
        ).first()
        if row is None:
            raise InputError(f"There is no token {name!r:.120}", code="UNKNOWN_TOKEN")
        if row.revoked_at is None:
            connection.execute(update(ApiToken).where(ApiToken.id == row.id).values(revoked_at=db.now))
        close_sessions_of_token(connection, row.id)


def principal_of_token(db: Database, secret: str) -> Principal | None:
    """Return whose token it is; none for one that is unknown, expired or revoked.

    A guess cannot be refined by how long the answer takes: what is looked up is the digest.
    """
    if not _TOKEN.fullmatch(secret):
        return None
    wanted = select(ApiToken.__table__, db.now.label("now")).where(ApiToken.sha256 == digest(secret), _valid(db))
    with db.read() as connection:
        row = connection.execute(wanted).first()
    if row is None:
        return None
    if row.last_used_at is None or abs(row.now - row.last_used_at) >= USE_NOTED_SECONDS:
        with db.write() as connection:
            connection.execute(update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=db.now))
    return _principal(row, row.id)


def open_session(db: Database, name: str, role: Role, token_id: int | None, seconds: float) -> str:
    """Log a browser in and return its cookie, which is seen this once. Sessions that expired are forgotten.

    Args:
        db: The database.
        name: Who it is, for people.
        role: What may be done with it.
        token_id: The token that was shown; none for a link that works once. When the token ends, so does the session.
        seconds: How long it lasts.

    Raises:
        InputError: ``BAD_VALUE`` or ``TOO_MANY_KEPT``.
    """
    if not 0 < seconds <= MOST_SESSION_SECONDS:
        raise InputError(f"seconds: a session lasts more than 0 and at most {MOST_SESSION_SECONDS:.0f} seconds")
    plain, cookie = line(name, MOST_NAME, "name"), secrets.token_urlsafe(SECRET_BYTES)
    values = {"sha256": digest(cookie), "token_id": token_id, "name": plain, "role": role}
    with db.write() as connection:
        connection.execute(delete(BrowserSession).where(BrowserSession.expires_at <= db.now))
        refuse_more(connection, BrowserSession, MOST_SESSIONS, "sessions")
        connection.execute(insert(BrowserSession).values(**values, created_at=db.now, expires_at=db.now + seconds))
    return cookie


def principal_of_session(db: Database, cookie: str) -> Principal | None:
    """Return whose session it is; none for one that is unknown or over, or whose token is."""
    if not _COOKIE.fullmatch(cookie):
        return None
    wanted = (
        select(BrowserSession.__table__)
        .join(ApiToken, ApiToken.id == BrowserSession.token_id, isouter=True)
        .where(BrowserSession.sha256 == digest(cookie), BrowserSession.expires_at > db.now)
        .where(or_(BrowserSession.token_id.is_(None), _valid(db)))
    )
    with db.read() as connection:
        row = connection.execute(wanted).first()
    return None if row is None else _principal(row, row.token_id)


def close_session(db: Database, cookie: str) -> None:
    """Log a browser out; one that is not logged in stays so."""
    with db.write() as connection:
        connection.execute(delete(BrowserSession).where(BrowserSession.sha256 == digest(cookie)))


def close_sessions_of_token(connection: Connection, token_id: int) -> None:
    """Log out every browser that came in by a token."""
    connection.execute(delete(BrowserSession).where(BrowserSession.token_id == token_id))


def _valid(db: Database) -> ColumnElement[bool]:
    return and_(ApiToken.revoked_at.is_(None), or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > db.now))


def _principal(row: Row[Any], token_id: int | None) -> Principal:
    return Principal(row.name, read_word(Role, row.role, f"{row.name}'s role"), token_id)
