"""What every command needs first: settings, database, store.

``db.session`` and ``db.settings`` are imported when a command opens them, so that ``--help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from db.errors import InputError
from orchestrator.cli.terminal import Terminal
from orchestrator.diagnosis import missing_modules

if TYPE_CHECKING:
    from db.session import Database
    from db.settings import Settings


@dataclass(frozen=True)
class CliContext:
    """The global options, and what is opened by them."""

    home: Path | None
    terminal: Terminal

    def settings(self, **overrides: Any) -> Settings:
        """Read the settings; ``overrides`` that are none leave a setting as it is."""
        from db import settings

        return settings.load({"home": self.home, **overrides})

    @contextmanager
    def open_existing_database(self) -> Iterator[tuple[Settings, Database | None]]:
        """Open the database where there is one already: some things can be shown or tried before there is."""
        settings = self.settings()
        if settings.lacks_database:
            yield settings, None
            return
        with self.open_database(settings) as database:
            yield settings, database

    @contextmanager
    def open_database(self, settings: Settings, *, make: bool = False) -> Iterator[Database]:
        """Open the database.

        Args:
            settings: Which.
            make: Whether a database inside the home is made, or brought to this release's schema.

        Raises:
            InputError: There is no home yet, it may not be written to and ``make`` is set, it is damaged, or its schema
                belongs to another release.
        """
        from db import session
        from orchestrator.cli.places import check_home

        if settings.lacks_database and not make:
            raise InputError(
                f"There is no Reelwright home in {settings.home.resolve()}",
                code="BAD_SETTING",
                remedy="Name it with `--home`, or create one with `reelwright run` or `reelwright db upgrade`.",
            )
        if make:
            check_home(settings)
        with session.open_database(settings) as database:
            if make and not settings.database_url:
                session.upgrade(database)
            else:
                session.check(database)
            yield database


def require_worker_extra() -> None:
    """Make sure that workers can start here.

    Raises:
        InputError: ``WORKER_EXTRA_MISSING``.
    """
    lacking = missing_modules("worker")
    if lacking:
        raise InputError(f"No workers can run here without {', '.join(lacking)}", code="WORKER_EXTRA_MISSING")


def require_web_extra() -> None:
    """Make sure that the web face can start here.

    Raises:
        InputError: ``WEB_EXTRA_MISSING``.
    """
    lacking = missing_modules("web")
    if lacking:
        raise InputError(f"Nothing can be served here without {', '.join(lacking)}", code="WEB_EXTRA_MISSING")


def webhook_waker(settings: Settings, database: Database) -> Callable[[], None]:
    """Return what a loop calls to have webhooks told; nothing is told where the web extra is not installed.

    Raises:
        InputError: The settings name an address that cannot be told anything, or the web extra is missing for it.
    """
    if missing_modules("web"):
        if settings.notify:
            require_web_extra()
        return lambda: None
    from db import ledger
    from orchestrator.web.deliveries import Deliverer, check_url

    for address in settings.notify:
        check_url(address, settings)
    ledger.follow_settings(database, settings.notify)
    return Deliverer(settings, database).wake


def job_or_newest(terminal: Terminal, database: Database, number: int | None) -> int:
    """Return a job's number: the given one, else the newest job's, and tell a person which that is.

    Raises:
        InputError: ``UNKNOWN_JOB`` where there is none yet.
    """
    from db import pages

    if number is not None:
        return number
    newest = pages.job_page(database, limit=1).rows
    if not newest:
        raise InputError(
            "There is no job yet", code="UNKNOWN_JOB", remedy="Make one with `reelwright run` or `submit`."
        )
    terminal.say(f"Job {newest[0].id} {newest[0].name}, the newest.")
    return newest[0].id


def cli_context(context: typer.Context) -> CliContext:
    """Return the context of the running command."""
    return cast(CliContext, context.find_root().obj)
