"""Commands about the installation: ``doctor``, ``db``."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

import typer

from db import progress, session
from db.broker import CeleryBroker
from db.errors import ReelwrightError
from db.settings import Settings
from db.store import open_store
from orchestrator.cli.context import EXTRAS, CliContext, cli_context, missing_modules

_LOW_SPACE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found in one place."""

    what: str
    ok: bool
    detail: str
    needed: bool = True
    """Whether nothing runs without it."""


def doctor(context: typer.Context) -> None:
    """Check this installation.

    Exits with 3 if something that is needed is missing or does not answer.
    """
    cli = cli_context(context)
    settings = cli.settings()
    diagnoses = list(_diagnoses(cli, settings))
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
    with session.open_database(cli.settings()) as database:
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


def _diagnoses(cli: CliContext, settings: Settings) -> Iterator[Diagnosis]:
    yield Diagnosis("python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield Diagnosis("reelwright", True, version("reelwright"))
    for extra in EXTRAS:
        modules = missing_modules(extra)
        needed = extra == "server" and not settings.embedded
        yield Diagnosis(
            f"extra {extra}", not modules, f"lacks {', '.join(modules)}" if modules else "installed", needed
        )
    for what, look in _PLACES.items():
        yield _run_check(what, lambda look=look: look(cli, settings))  # type: ignore[misc]


def _run_check(what: str, look: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return look()
    except ReelwrightError as error:
        return Diagnosis(what, False, f"{error.code}: {error.message}. {error.remedy}")
    except OSError as error:
        return Diagnosis(what, False, str(error))


def _check_database(cli: CliContext, settings: Settings) -> Diagnosis:
    if settings.lacks_database:
        return Diagnosis("database", True, "none yet; the first run creates it")
    with cli.open_database(settings) as database:
        revision, _ = session.revision(database)
    return Diagnosis("database", True, f"schema {revision}")


def _check_workers(cli: CliContext, settings: Settings) -> Diagnosis:
    if settings.lacks_database:
        return Diagnosis("workers", False, "none", needed=False)
    with cli.open_database(settings) as database:
        rows = [row for row in progress.workers(database) if row.state == "live"]
        alive = [row for row in rows if row.heartbeat_age_seconds < settings.lease_seconds]
    devices = ", ".join(sorted({row.device for row in alive}))
    return Diagnosis("workers", bool(alive), f"{len(alive)} alive {devices}".strip(), needed=False)


def _check_broker(cli: CliContext, settings: Settings) -> Diagnosis:
    if not settings.broker_url:
        return Diagnosis("broker", True, f"message files in {settings.messages}")
    CeleryBroker(settings).check()
    return Diagnosis("broker", True, settings.broker_url.partition("://")[0])


def _check_store(cli: CliContext, settings: Settings) -> Diagnosis:
    store = open_store(settings)
    folder = f"doctor/{uuid.uuid4().hex}"  # of its own: several may look at the same time
    blob = store.put_bytes(f"{folder}/probe", b"reelwright")
    read = store.read(blob)
    store.delete(f"{folder}/")
    return Diagnosis("store", read == b"reelwright", store.uri)


def _check_home(cli: CliContext, settings: Settings) -> Diagnosis:
    home = settings.home.resolve()
    if not home.is_dir():
        return Diagnosis("home", not home.exists(), f"none yet in {home}" if not home.exists() else f"{home} is a file")
    if not os.access(home, os.W_OK):
        return Diagnosis("home", True, f"{home} may only be read: commands that only look work there")
    mode = home.stat().st_mode
    if mode & 0o077:
        return Diagnosis("home", True, f"{home} is open to others ({stat.filemode(mode)}); chmod 700 would close it")
    return Diagnosis("home", True, f"{home}, open to its owner alone")


def _check_space(cli: CliContext, settings: Settings) -> Diagnosis:
    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Diagnosis("disk space", free > _LOW_SPACE_BYTES, f"{free / 1e9:.1f} GB free in {folder}")


_PLACES: dict[str, Callable[[CliContext, Settings], Diagnosis]] = {
    "home": _check_home,
    "database": _check_database,
    "broker": _check_broker,
    "store": _check_store,
    "workers": _check_workers,
    "disk space": _check_space,
}
