"""Commands about the installation: ``doctor``, ``db``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from db import session
from db.soundness import contradictions
from orchestrator.cli.context import cli_context
from orchestrator.cli.places import check_home
from orchestrator.diagnosis import diagnose

MOST_SHOWN = 1000
"""Contradictions that are shown: where there are so many, one cause has them all."""


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


def check(
    context: typer.Context,
    rows: Annotated[
        bool, typer.Option("--rows", help="Read all rows too: whether they are whole and agree with one another.")
    ] = False,
) -> None:
    """Check that the database has this release's schema.

    Exits with 1 if rows contradict one another.
    """
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        revision, _ = session.revision(database)
        found = list(islice(contradictions(database), MOST_SHOWN)) if rows else []
    cli.terminal.say(f"The database has this release's schema, {revision}.")
    for line in found:
        cli.terminal.say(line)
    if rows and not found:
        cli.terminal.say("Its rows are whole, and agree with one another.")
    cli.terminal.document({"revision": revision} | ({"contradictions": found} if rows else {}))
    if found:
        raise typer.Exit(1)
