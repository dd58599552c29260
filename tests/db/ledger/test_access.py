"""Tokens and sessions: who shows the secret is let in, as long as it holds, and nobody else is."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from db import administration, ledger
from db.errors import InputError
from db.ledger import access
from db.secret_text import digest
from db.session import Database
from db.states import Role
from db.tables import ApiToken, BrowserSession


def clock(database: Database, ahead: float = 0.0) -> Database:
    """The same database, some seconds later and standing still."""
    return Database(database.engine, clock=ledger.clock(database) + ahead)


def everything(database: Database) -> str:
    with database.read() as connection:
        return repr([connection.execute(select(table.__table__)).all() for table in (ApiToken, BrowserSession)])


def test_a_token_lets_in_whom_it_was_made_for(database: Database) -> None:
    secret = ledger.add_token(database, "  archive script ", Role.OPERATOR)
    other = ledger.add_token(database, "anna", Role.ADMIN)
    assert re.fullmatch(r"rw_[A-Za-z0-9_-]{43}", secret)
    assert secret != other
    assert ledger.principal_of_token(database, secret) == ledger.Principal("archive script", Role.OPERATOR, 1)
    assert ledger.principal_of_token(database, other) == ledger.Principal("anna", Role.ADMIN, 2)


def test_no_secret_is_kept(database: Database) -> None:
    secret = ledger.add_token(database, "anna", Role.VIEWER)
    cookie = ledger.open_session(database, "anna", Role.VIEWER, 1, 60)
    kept = everything(database)
    assert secret not in kept
    assert secret[access.PREFIX_CHARACTERS :] not in kept
    assert cookie not in kept
    (row,) = administration.tokens(database)
    assert secret.startswith(row.prefix)
    assert len(row.prefix) < 10


@pytest.mark.parametrize("wrong", ["", "rw_", "x" * 46, "rw_" + "é" * 43, "rw_" + "a" * 43, "rw_" + "a" * 10_000, "\0"])
def test_what_is_no_token_lets_nobody_in(database: Database, wrong: str) -> None:
    secret = ledger.add_token(database, "anna", Role.ADMIN)
    for guess in (wrong, secret[:-1], secret + "a", secret + "\n", secret.upper(), digest(secret)):
        assert ledger.principal_of_token(database, guess) is None
        assert ledger.principal_of_session(database, guess) is None


def test_a_token_ends_when_it_expires_and_when_it_is_revoked(database: Database) -> None:
    now = ledger.clock(database)
    brief = ledger.add_token(database, "brief", Role.VIEWER, now + 100)
    long = ledger.add_token(database, "long", Role.VIEWER)
    cookies = [ledger.open_session(database, "x", Role.VIEWER, number, 1000) for number in (1, 2)]
    later = clock(database, 200)
    assert ledger.principal_of_token(clock(database), brief) is not None
    assert ledger.principal_of_token(later, brief) is None
    assert ledger.principal_of_session(clock(database), cookies[0]) is not None
    assert ledger.principal_of_session(later, cookies[0]) is None
    assert ledger.principal_of_token(later, long) is not None
    assert ledger.principal_of_session(later, cookies[1]) is not None
    ledger.revoke_token(database, "long")
    ledger.revoke_token(later, "long")
    assert ledger.principal_of_token(database, long) is None
    assert ledger.principal_of_session(database, cookies[1]) is None
    with database.read() as connection:
        assert connection.scalars(select(BrowserSession.token_id)).all() == [1]
    assert [row.revoked_at is None for row in administration.tokens(database)] == [True, False]
    revoked_at = administration.tokens(database)[1].revoked_at
    assert revoked_at is not None
    assert revoked_at < now + 100  # not moved by the second time


def test_a_session_of_a_token_that_was_revoked_before_it_was_opened_lets_nobody_in(database: Database) -> None:
    ledger.add_token(database, "anna", Role.ADMIN)
    ledger.revoke_token(database, "anna")
    cookie = ledger.open_session(database, "anna", Role.ADMIN, 1, 60)
    assert ledger.principal_of_session(database, cookie) is None


def test_a_session_ends_by_itself_and_when_it_is_closed(database: Database) -> None:
    one, other = (ledger.open_session(database, "by link", Role.ADMIN, None, 60) for _ in range(2))
    assert ledger.principal_of_session(database, one) == ledger.Principal("by link", Role.ADMIN, None)
    assert ledger.principal_of_token(database, one) is None
    ledger.close_session(database, one)
    ledger.close_session(database, one)
    assert ledger.principal_of_session(database, one) is None
    assert ledger.principal_of_session(database, other) is not None
    later = clock(database, 61)
    assert ledger.principal_of_session(later, other) is None
    ledger.open_session(later, "another", Role.VIEWER, None, 60)
    with database.read() as connection:
        assert connection.scalars(select(BrowserSession.name)).all() == ["another"]  # those that are over are forgotten


def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    secret = ledger.add_token(database, "anna", Role.VIEWER)
    start = ledger.clock(database)
    seen = []
    for seconds in (0, 30, 59, 61, 90):
        ledger.principal_of_token(Database(database.engine, clock=start + seconds), secret)
        seen.append(administration.tokens(database)[0].last_used_at)
    assert seen == pytest.approx([start, start, start, start + 61, start + 61])


def test_names_are_given_once_and_what_is_no_name_is_refused(database: Database) -> None:
    ledger.add_token(database, "anna", Role.VIEWER)
    ledger.revoke_token(database, "anna")
    with pytest.raises(InputError) as taken:
        ledger.add_token(database, "anna ", Role.ADMIN)
    assert taken.value.code == "NAME_TAKEN"
    for name in ("", "  ", "a" * 101, "a\nb", "\0", "\u202e"):
        with pytest.raises(InputError) as bad:
            ledger.add_token(database, name, Role.VIEWER)
        assert bad.value.code == "BAD_VALUE"
    for moment in (0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="expires_at"):
            ledger.add_token(database, "b", Role.VIEWER, moment)
    for seconds in (0, -1, float("nan"), 1e12):
        with pytest.raises(InputError, match="seconds"):
            ledger.open_session(database, "b", Role.VIEWER, None, seconds)
    with pytest.raises(InputError) as unknown:
        ledger.revoke_token(database, "bert")
    assert unknown.value.code == "UNKNOWN_TOKEN"


def test_there_is_an_end_to_tokens_and_sessions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MOST_TOKENS", 2)
    monkeypatch.setattr(access, "MOST_SESSIONS", 2)
    for name in ("a", "b"):
        ledger.add_token(database, name, Role.VIEWER)
        ledger.open_session(database, name, Role.VIEWER, None, 60)
    with pytest.raises(InputError) as tokens:
        ledger.add_token(database, "c", Role.VIEWER)
    with pytest.raises(InputError) as sessions:
        ledger.open_session(database, "c", Role.VIEWER, None, 60)
    assert {tokens.value.code, sessions.value.code} == {"TOO_MANY_KEPT"}
    ledger.open_session(clock(database, 61), "c", Role.VIEWER, None, 60)


def test_a_role_that_this_release_does_not_know_is_no_role(database: Database) -> None:
    secret = ledger.add_token(database, "anna", Role.VIEWER)
    with database.write() as connection:
        connection.execute(update(ApiToken).values(role="god"))
    with pytest.raises(InputError) as unreadable:
        ledger.principal_of_token(database, secret)
    assert unreadable.value.code == "RECORD_UNREADABLE"


def test_roles_are_ordered_by_what_they_may_do() -> None:
    assert sorted(Role) == [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    for less, more in pairwise(Role):
        assert less < more
        assert more > less
        assert more >= less
        assert not more <= less
        assert less <= less
        assert less >= less
