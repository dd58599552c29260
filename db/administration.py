"""What the administrator of an installation looks at. Only reads."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from db.records import read_word
from db.session import Database
from db.states import Role
from db.tables import ApiToken


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
