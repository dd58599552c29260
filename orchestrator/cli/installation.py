"""Commands about the installation: ``doctor``, ``db``."""

from __future__ import annotations

import typer

from db import session
from orchestrator.cli.context import cli_context
from orchestrator.cli.places import check_home
from orchestrator.diagnosis import diagnose


def doctor(context: typer.Context) -> None:
    """Check this installation.

    Exits with 3 if something that is needed is missing or does not answer.
    """
    cli = cli_context(context)
    settings = cli.settings()
    diagnoses = list(diagnose(settings))
    marks = {(True, True): "ok", (True, False): "ok", (False, True): "MISSING", (False, False): "absent"}
    cli.terminal.table(
        ("what", "state", "detail"), [(each.what, marks[each.ok, each.needed], each.detail) for each in diagnoses]
    )
    healthy = all(each.ok for each in diagnoses if each.needed)
    cli.terminal.document({"healthy": healthy, "findings": diagnoses})
    if not healthy:
        raise typer.Exit(3)


def upgrade(context: typer.Context) -> None:
    """Bring the database to this release's schema."""
    cli = cli_context(context)
    settings = cli.settings()
    check_home(settings)
    with session.open_database(settings) as database:
        session.upgrade(database)
        revision, _ = session.revision(database)
    cli.terminal.say(f"The database now has the schema {revision}.")
    cli.terminal.document({"revision": revision})


def check(context: typer.Context) -> None:
    """Check that the database has this release's schema."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        revision, _ = session.revision(database)
    cli.terminal.say(f"The database has this release's schema, {revision}.")
    cli.terminal.document({"revision": revision})
