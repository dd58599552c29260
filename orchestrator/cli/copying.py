"""Commands that carry an installation to another place: ``db copy``, ``backup``, ``restore``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from db import ledger, session
from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.writable import check_writable
from orchestrator.cli.context import CliContext, cli_context
from orchestrator.cli.places import check_home, check_workplaces
from orchestrator.embedded import lock_home
from orchestrator.upkeep import copying
from orchestrator.upkeep.copying import CopyReport
from orchestrator.wording import format_size

MOST_SHOWN = 20

Check = Annotated[
    bool,
    typer.Option("--check/--no-check", help="Whether blobs that are there already are read and compared."),
]


def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="A database's address, such as postgresql://…, or a folder: a new home.")],
    store: Annotated[
        str | None,
        typer.Option(help="Where blobs go; if omitted, into the new home, or they stay where they are for a database."),
    ] = None,
    check: Check = True,
) -> None:
    """Copy a whole installation into an empty one: from a home to servers, or back.

    Nobody may work in it meanwhile. Nothing in it is changed; cut short, the same command goes on where it stopped.
    """
    cli = cli_context(context)
    settings = cli.settings()
    target = _target_settings(cli, to, store or (settings.store if "://" in to else None))
    if _place(target) == _place(settings):
        raise InputError("The installation would be copied into itself", code="TARGET_IN_USE")
    check_home(target)
    check_workplaces(target)
    with (
        cli.open_database(settings) as database,
        _nobody_works(settings, database),
        _open_target(target) as place,
        cli.terminal.show_count("blobs") as count,
    ):
        report = copying.copy_installation(
            database, open_store(settings), place, open_store(target), _scratch(settings), check=check, told=count
        )
    _tell(cli, report, "Copied")


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to write to: a new one, or one of an earlier backup.")],
    check: Check = False,
) -> None:
    """Copy database and store into a folder, while workers go on.

    They are copied as they are at one moment. What an earlier backup left in the folder is not copied again.
    Exits with 1 if a blob cannot be read.
    """
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings) as database, cli.terminal.show_count("blobs") as count:
        store = open_store(settings)
        copying.check_backup_place(folder, settings.home, store)
        check_writable(folder, "FOLDER")
        report = copying.back_up(database, store, folder, check=check, told=count)
    _tell(cli, report, "Backed up")
    if report.blobs.lacking:
        raise typer.Exit(1)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder that `reelwright backup` wrote.")],
) -> None:
    """Bring a backup back into an empty home or installation.

    Unfinished jobs go on from there.
    """
    cli = cli_context(context)
    settings = cli.settings()
    check_home(settings)
    check_workplaces(settings)
    with _open_target(settings) as place, cli.terminal.show_count("blobs") as count:
        report = copying.restore(folder, place, open_store(settings), _scratch(settings), told=count)
    _tell(cli, report, "Restored")


def _target_settings(cli: CliContext, to: str, store: str | None) -> Settings:
    if "://" in to:
        return cli.settings(database_url=to, store_uri=store)
    # What the environment says of the installation that is copied from does not hold for the new home.
    settings = cli.settings(home=Path(to))
    return settings.model_copy(update={"database_url": "", "broker_url": "", "store_uri": store or "", "scratch": None})


def _place(settings: Settings) -> tuple[object, str]:
    """Where an installation is: its database and its store."""
    return settings.database_url or settings.home.resolve(), settings.store


@contextmanager
def _open_target(settings: Settings) -> Iterator[Database]:
    """Open what is copied into; nobody else works in it, or copies into it, until the block ends."""
    check_home(settings)
    with session.open_database(settings) as database, ExitStack() as stack:
        if settings.embedded:
            stack.enter_context(lock_home(settings.home))
        session.upgrade(database)
        yield database


@contextmanager
def _nobody_works(settings: Settings, database: Database) -> Iterator[None]:
    with ExitStack() as stack:
        if settings.embedded:
            stack.enter_context(lock_home(settings.home))
        elif count := sum(ledger.slots(database, settings.lease_seconds).values()):
            raise InputError(f"{count} workers are at work in this installation", code="WORKERS_AT_WORK")
        yield


def _scratch(settings: Settings) -> Path:
    settings.scratch_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.scratch_folder


def _tell(cli: CliContext, report: CopyReport, done: str) -> None:
    blobs, jobs = report.blobs, report.tables["jobs"].rows
    rows = sum(table.rows for table in report.tables.values())
    cli.terminal.say(
        f"{done}: {jobs} jobs ({rows} rows in all), {blobs.copied + blobs.there} blobs of {format_size(blobs.bytes)}, "
        f"{blobs.there} of which were there."
    )
    for why in list(blobs.lacking.values())[:MOST_SHOWN]:
        cli.terminal.say(f"Lacking: {why}")
    if len(blobs.lacking) > MOST_SHOWN:
        cli.terminal.say(f"… and {len(blobs.lacking) - MOST_SHOWN} more.")
    cli.terminal.document({"tables": report.tables, "blobs": blobs})
