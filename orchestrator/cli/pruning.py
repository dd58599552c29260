"""The command ``prune``, and what ``status --store`` shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import typer

from db import ledger
from db.errors import InputError, nearest
from db.ledger import PruneRules
from db.states import JOB_OVER, JobState
from db.store import open_store
from orchestrator.cli.context import cli_context
from orchestrator.cli.terminal import Terminal
from orchestrator.upkeep import pruning
from orchestrator.upkeep.pruning import Room
from orchestrator.wording import format_size, pluralize

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0}
_MOST_SECONDS = 100 * 365 * 86400.0


def prune(
    context: typer.Context,
    older_than: Annotated[str, typer.Option(help="How long jobs have been over at least: 90d, 12h, 30m.")],
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only of jobs in this state; may be repeated.")
    ] = None,
    keep_latest_generation: Annotated[
        bool, typer.Option(help="Remove the outputs of all generations of an item but the newest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
) -> None:
    """Remove what jobs that have long been over need no more.

    That is: attempts that came to nothing, mezzanines, blobs that no row needs, logs, messages that were delivered.
    What an accepted result or its provenance needs stays, and so does all that a job may need that is not over.
    """
    cli = cli_context(context)
    settings = cli.settings()
    rules = PruneRules(_seconds(older_than), _states(state), keep_latest_generation)
    with cli.open_database(settings) as database, cli.terminal.show_count("jobs") as count:
        report = pruning.prune(database, open_store(settings), settings.logs, rules, dry_run=dry_run, told=count)
        if not dry_run:
            gone = {"older_than": older_than, "blobs": report.blobs.blobs, "bytes": report.blobs.bytes}
            ledger.note(database, "command line", "prune", "installation", gone)
    would = "Would remove" if dry_run else "Removed"
    rows = ", ".join(pluralize(number, name[:-1]) for name, number in report.rows.items() if number)
    cli.terminal.say(
        f"{would} of {pluralize(report.jobs, 'job')}: {pluralize(report.blobs.blobs, 'blob')} of "
        f"{format_size(report.blobs.bytes)}; rows: {rows or 'none'}; {pluralize(report.logs.blobs, 'log')} of "
        f"{format_size(report.logs.bytes)}."
    )
    cli.terminal.document({"dry_run": dry_run, **vars(report)})


def show_rooms(terminal: Terminal, rooms: Mapping[str, Room]) -> None:
    """Show what takes room in the store."""
    terminal.table(
        ("what for", "blobs", "bytes", "size"),
        [(use, room.blobs, room.bytes, format_size(room.bytes)) for use, room in rooms.items()],
    )
    terminal.document(rooms)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,9})([dhm])", text.strip())
    if not found or int(found[1]) * _UNIT_SECONDS[found[2]] > _MOST_SECONDS:
        raise InputError(f"--older-than {text!r:.60} is no time", remedy="Write days, hours or minutes: 90d, 12h, 30m.")
    return int(found[1]) * _UNIT_SECONDS[found[2]]


def _states(words: list[str] | None) -> tuple[JobState, ...]:
    over = sorted(JOB_OVER)
    for word in words or ():
        if word not in over:
            raise InputError(
                f"--state {word!r:.60} is no state of a job that is over.{nearest(word, over)}",
                remedy=f"Name {', '.join(over)}.",
            )
    return tuple(JobState(word) for word in words or over)
