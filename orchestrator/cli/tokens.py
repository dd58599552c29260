"""Commands about who may use the web face: ``tokens add``, ``tokens list``, ``tokens revoke``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from db import administration
from db.administration import TokenRow
from db.errors import InputError, nearest
from db.ledger import access
from db.states import Role
from orchestrator.cli.context import cli_context

_DAY_SECONDS = 24 * 3600.0
TokenName = Annotated[str, typer.Argument(help="Whose token it is; a name is given once and never again.")]


def add(
    context: typer.Context,
    name: TokenName,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it ends; if omitted, never.")] = None,
) -> None:
    """Make a token; its secret is shown this once."""
    cli = cli_context(context)
    with cli.open_database(cli.settings(), make=True) as database:
        expires_at = None if days is None else time.time() + days * _DAY_SECONDS
        secret = access.add_token(database, name, _role(role), expires_at)
    cli.terminal.say(f"{secret}\nKeep it now: only its digest is stored. It is shown to nobody again.")
    cli.terminal.document({"name": name, "role": role, "expires_at": expires_at, "token": secret})


def list_(context: typer.Context) -> None:
    """List all tokens, without their secrets."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        rows = administration.tokens(database)
    cells = [(row.name, row.role.value, f"{row.prefix}…", _day(row.last_used_at), _state(row)) for row in rows]
    cli.terminal.table(("name", "role", "begins with", "last used", "state"), cells)
    cli.terminal.document(rows)


def revoke(context: typer.Context, name: TokenName) -> None:
    """End a token for good, and the sessions that it opened."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        access.revoke_token(database, name)
    cli.terminal.say(f"The token {name} is revoked, and nobody is logged in by it any more.")
    cli.terminal.document({"name": name, "revoked": True})


def _role(name: str) -> Role:
    names = [role.value for role in Role]
    if name not in names:
        raise InputError(f"Unknown role {name!r:.40}.{nearest(name, names)}", remedy=f"One of: {', '.join(names)}.")
    return Role(name)


def _state(row: TokenRow) -> str:
    if row.revoked_at is not None:
        return f"revoked {_day(row.revoked_at)}"
    if row.expires_at is None:
        return "valid"
    return f"{'ended' if row.expires_at < time.time() else 'valid until'} {_day(row.expires_at)}"


def _day(at: float | None) -> str:
    return "never" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))
