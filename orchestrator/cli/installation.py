"""Commands about the installation: ``stages``, ``doctor``, ``db``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.context import EXTRAS, CliContext, cli_context, missing_modules

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

    terminal = cli_context(context).terminal
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
        (field, describe_type(facts), facts.get("default"), facts.get("description", ""))
        for field, facts in schema["properties"].items()
    ]
    terminal.table(("parameter", "values", "default", "meaning"), rows)
    facts = {"name": spec.name, "summary": spec.summary, "source": spec.source, "parameters": schema["properties"]}
    terminal.document(facts)


def describe_type(facts: dict[str, Any]) -> str:
    """Say in a few words which values a parameter's JSON schema allows."""
    if "anyOf" in facts:
        return " or ".join(describe_type(option) for option in facts["anyOf"])
    if "enum" in facts or "const" in facts:
        return ", ".join(map(str, facts.get("enum", [facts.get("const")])))
    names = {"number": "number", "integer": "whole number", "boolean": "true, false", "null": "none", "array": "list"}
    low, high = facts.get("minimum"), facts.get("maximum")
    span = f" {low:g} to {high:g}" if low is not None and high is not None else ""
    return names.get(str(facts.get("type")), str(facts.get("type", "any"))) + span


@dataclass(frozen=True)
class Diagnosis:
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
    from db import session

    cli = cli_context(context)
    with session.open_database(cli.settings()) as database:
        session.upgrade(database)
        revision, _ = session.revision(database)
    cli.terminal.say(f"The database's schema is {revision}.")
    cli.terminal.document({"revision": revision})


def check(context: typer.Context) -> None:
    """Say whether the database has this release's schema."""
    from db import session

    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        session.check(database)
        revision, _ = session.revision(database)
    cli.terminal.say(f"The database's schema is {revision}, as it should be.")
    cli.terminal.document({"revision": revision})


def _diagnoses(cli: CliContext, settings: Settings) -> Iterator[Diagnosis]:
    from importlib.metadata import version

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
    from db.errors import ReelwrightError

    try:
        return look()
    except ReelwrightError as error:
        return Diagnosis(what, False, f"{error.code}: {error.message} {error.remedy}")
    except OSError as error:
        return Diagnosis(what, False, str(error))


def _check_database(cli: CliContext, settings: Settings) -> Diagnosis:
    from db import session

    if settings.lacks_database:
        return Diagnosis("database", True, "none yet; the first run makes it")
    with cli.open_database(settings) as database:
        session.check(database)
        revision, _ = session.revision(database)
    return Diagnosis("database", True, f"schema {revision}")


def _check_workers(cli: CliContext, settings: Settings) -> Diagnosis:
    from db import progress

    if settings.lacks_database:
        return Diagnosis("workers", False, "none", needed=False)
    with cli.open_database(settings) as database:
        alive = [row for row in progress.workers(database) if row.heartbeat_age_seconds < settings.lease_seconds]
    devices = ", ".join(sorted({row.device for row in alive}))
    return Diagnosis("workers", bool(alive), f"{len(alive)} alive {devices}".strip(), needed=False)


def _check_broker(cli: CliContext, settings: Settings) -> Diagnosis:
    if not settings.broker_url:
        return Diagnosis("broker", True, f"message files in {settings.messages}")
    from celery import Celery

    try:
        with Celery(broker=settings.broker_url).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:  # kombu passes on whatever its transport raises
        return Diagnosis("broker", False, f"BROKER_UNAVAILABLE: {type(error).__name__}: {error}"[:300])
    return Diagnosis("broker", True, settings.broker_url.partition("://")[0])


def _check_store(cli: CliContext, settings: Settings) -> Diagnosis:
    from db.store import open_store

    store = open_store(settings)
    blob = store.put_bytes("doctor/probe", b"reelwright")
    read = store.read(blob)
    store.delete("doctor/")
    return Diagnosis("store", read == b"reelwright", store.uri)


def _check_space(cli: CliContext, settings: Settings) -> Diagnosis:
    import shutil

    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Diagnosis("disk space", free > _LOW_SPACE_BYTES, f"{free / 1e9:.1f} GB free in {folder}")


_PLACES: dict[str, Callable[[CliContext, Settings], Diagnosis]] = {
    "database": _check_database,
    "broker": _check_broker,
    "store": _check_store,
    "workers": _check_workers,
    "disk space": _check_space,
}
