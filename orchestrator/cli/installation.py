"""Commands about the installation: ``stages``, ``doctor``, ``db``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.context import EXTRAS, Desk, desk, lacks

if TYPE_CHECKING:
    from db.settings import Settings

_LOW_SPACE_BYTES = 2_000_000_000


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(stages)
    app.command()(doctor)
    database = typer.Typer(help="The database's schema.", no_args_is_help=True, rich_markup_mode=None)
    database.command()(upgrade)
    database.command()(check)
    app.add_typer(database, name="db")


def stages(
    context: typer.Context, name: Annotated[str | None, typer.Argument(help="One stage, with its parameters.")] = None
) -> None:
    """List the stages, or one with its parameters."""
    from db.catalog.stages import STAGES
    from db.errors import RecipeError, nearest

    terminal = desk(context).terminal
    if name is None:
        terminal.table(("stage", "what it does"), [(spec.name, spec.summary) for spec in STAGES.values()])
        terminal.document([{"name": spec.name, "summary": spec.summary} for spec in STAGES.values()])
        return
    if name not in STAGES:
        raise RecipeError(f"No stage {name!r:.60}.{nearest(name, STAGES)}", code="UNKNOWN_STAGE")
    spec = STAGES[name]
    schema = spec.params.model_json_schema()
    terminal.say(f"{spec.name}: {spec.summary}\n{spec.source}\n")
    rows = [
        (field, shown_type(facts), facts.get("default"), facts.get("description", ""))
        for field, facts in schema["properties"].items()
    ]
    terminal.table(("parameter", "values", "default", "meaning"), rows)
    facts = {"name": spec.name, "summary": spec.summary, "source": spec.source, "parameters": schema["properties"]}
    terminal.document(facts)


def shown_type(facts: dict[str, Any]) -> str:
    """Say in a few words which values a parameter's JSON schema allows."""
    if "anyOf" in facts:
        return " or ".join(shown_type(option) for option in facts["anyOf"])
    if "enum" in facts or "const" in facts:
        return ", ".join(map(str, facts.get("enum", [facts.get("const")])))
    names = {"number": "number", "integer": "whole number", "boolean": "true, false", "null": "none", "array": "list"}
    low, high = facts.get("minimum"), facts.get("maximum")
    span = f" {low:g} to {high:g}" if low is not None and high is not None else ""
    return names.get(str(facts.get("type")), str(facts.get("type", "any"))) + span


@dataclass(frozen=True)
class Finding:
    """What the doctor saw in one place."""

    what: str
    ok: bool
    detail: str
    needed: bool = True
    """Whether nothing runs without it."""


def doctor(context: typer.Context) -> None:
    """Check this installation.

    Leaves with 3 if something that is needed is away.
    """
    here = desk(context)
    settings = here.settings()
    findings = list(_examined(here, settings))
    marks = {(True, True): "ok", (True, False): "ok", (False, True): "MISSING", (False, False): "absent"}
    here.terminal.table(
        ("what", "state", "detail"), [(each.what, marks[each.ok, each.needed], each.detail) for each in findings]
    )
    healthy = all(each.ok for each in findings if each.needed)
    here.terminal.document({"healthy": healthy, "findings": findings})
    if not healthy:
        raise typer.Exit(3)


def upgrade(context: typer.Context) -> None:
    """Bring the database to this release's schema."""
    from db import session

    here = desk(context)
    with session.open_database(here.settings()) as database:
        session.upgrade(database)
        found, _ = session.revision(database)
    here.terminal.say(f"The database's schema is {found}.")
    here.terminal.document({"revision": found})


def check(context: typer.Context) -> None:
    """Say whether the database has this release's schema."""
    from db import session

    here = desk(context)
    with here.database(here.settings()) as database:
        session.check(database)
        found, _ = session.revision(database)
    here.terminal.say(f"The database's schema is {found}, as it should be.")
    here.terminal.document({"revision": found})


def _examined(here: Desk, settings: Settings) -> Iterator[Finding]:
    from importlib.metadata import version

    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield Finding("reelwright", True, version("reelwright"))
    for extra in EXTRAS:
        lacking = lacks(extra)
        needed = extra == "server" and not settings.embedded
        yield Finding(f"extra {extra}", not lacking, f"lacks {', '.join(lacking)}" if lacking else "installed", needed)
    for what, look in _PLACES.items():
        yield _looked(what, lambda look=look: look(here, settings))  # type: ignore[misc]


def _looked(what: str, look: Callable[[], Finding]) -> Finding:
    from db.errors import ReelwrightError

    try:
        return look()
    except ReelwrightError as error:
        return Finding(what, False, f"{error.code}: {error.message} {error.remedy}")
    except OSError as error:
        return Finding(what, False, str(error))


def _database(here: Desk, settings: Settings) -> Finding:
    from db import session

    if settings.unborn:
        return Finding("database", True, "none yet; the first run makes it")
    with here.database(settings) as database:
        session.check(database)
        found, _ = session.revision(database)
    return Finding("database", True, f"schema {found}")


def _workers(here: Desk, settings: Settings) -> Finding:
    from db import progress

    if settings.unborn:
        return Finding("workers", False, "none", needed=False)
    with here.database(settings) as database:
        alive = [row for row in progress.workers(database) if row.heartbeat_age_seconds < settings.lease_seconds]
    devices = ", ".join(sorted({row.device for row in alive}))
    return Finding("workers", bool(alive), f"{len(alive)} alive {devices}".strip(), needed=False)


def _broker(here: Desk, settings: Settings) -> Finding:
    if not settings.broker_url:
        return Finding("broker", True, f"message files in {settings.messages}")
    from celery import Celery

    try:
        with Celery(broker=settings.broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:  # kombu passes on whatever its transport raises
        return Finding("broker", False, f"BROKER_UNAVAILABLE: {type(error).__name__}: {error}"[:300])
    return Finding("broker", True, settings.broker_url.partition("://")[0])


def _store(here: Desk, settings: Settings) -> Finding:
    from db.store import open_store

    store = open_store(settings)
    blob = store.put_bytes("doctor/probe", b"reelwright")
    read = store.read(blob)
    store.delete("doctor/")
    return Finding("store", read == b"reelwright", store.uri)


def _space(here: Desk, settings: Settings) -> Finding:
    import shutil

    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk space", free > _LOW_SPACE_BYTES, f"{free / 1e9:.1f} GB free in {folder}")


_PLACES: dict[str, Callable[[Desk, Settings], Finding]] = {
    "database": _database,
    "broker": _broker,
    "store": _store,
    "workers": _workers,
    "disk space": _space,
}
