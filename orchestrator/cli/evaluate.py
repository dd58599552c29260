"""The command ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.context import Desk, desk, need_pixels
from orchestrator.cli.logs import logging_at_home
from orchestrator.cli.terminal import Terminal, duration, many

if TYPE_CHECKING:
    from orchestrator.on_demand.evaluate import Request

_SHOWN_PROBLEMS = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="MODEL|JOB|PATH", help="Registered weights, a job's number, or finished pictures.")
    ],
    references: Annotated[
        str,
        typer.Argument(
            help="A folder, a pattern ('set/*_HR.png'), a CSV or JSON Lines manifest, tar shards, one file."
        ),
    ],
    inputs: Annotated[str | None, typer.Option(help="What the model is given, in the same forms.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between, or `all`; docs/evaluation lists them.")
    ] = None,
    size: Annotated[str, typer.Option(help="`own`, or the side of a square to bring references to.")] = "own",
    noise: Annotated[float | None, typer.Option(min=0, help="Sigma (of 255) of noise that is added.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take so many references, evenly spread.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json or .parquet with every picture's values.")] = None,
    queue: Annotated[bool, typer.Option("--queue", help="Run the model as a job, shared by all workers.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes of that job.")] = None,
) -> None:
    """Judge a model, a job's outputs or finished pictures by references.

    Every figure comes with its convention, and with what leaving the picture alone would score. Leaves with 1 if any
    reference could not be judged.
    """
    from orchestrator.on_demand.evaluate import Request

    need_pixels()
    here = desk(context)
    request = Request(
        subject,
        references,
        inputs,
        tuple(name.strip() for name in (metrics or "").split(",") if name.strip()),
        _options(option or []),
        _size(size),
        noise,
        seed,
        limit,
        str(out.resolve()) if out else None,
    )
    found = _queued(here, request, workers) if queue else _here(here, request)
    _show(here.terminal, found)
    here.terminal.document(found)
    if found["problem_count"]:
        raise typer.Exit(1)


def _here(here: Desk, request: Request) -> dict[str, Any]:
    from orchestrator.on_demand import evaluate as evaluating

    with here.perhaps_database() as (settings, database), here.terminal.counting("references", timed=True) as count:
        return evaluating.evaluate(settings, database, request, moved=count.of)


def _queued(here: Desk, request: Request, workers: int | None) -> dict[str, Any]:
    from orchestrator.on_demand import evaluate as evaluating

    settings = here.settings(slots=workers)
    with (
        here.database(settings, make=True) as database,
        logging_at_home(settings),
        here.terminal.following() as follow,
    ):
        return evaluating.through_the_queue(settings, database, request, on_progress=follow)


def _options(given: list[str]) -> dict[str, Any]:
    from db.errors import InputError

    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise InputError(f"{each!r:.100}: an option is NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _size(text: str) -> int | None:
    from db.errors import InputError

    if text == "own":
        return None
    if not text.isdecimal() or not 16 <= int(text) <= 4096:
        raise InputError(f"--size is `own` or 16 to 4096, not {text!r:.40}")
    return int(text)


def _show(terminal: Terminal, found: dict[str, Any]) -> None:
    from orchestrator.on_demand.evaluate import number, shown

    films = f", {many(found['films'], 'film')}" if found["films"] else ""
    terminal.say(
        f"{found['subject']}: {many(found['pictures'], 'picture')}{films} in {duration(found['seconds'])} "
        f"on {found['device']}\n"
    )
    rows = []
    for figure in found["figures"]:
        unit = "" if figure["unit"] == "1" or figure["value"] is None else f" {figure['unit']}"
        better = {True: "more", False: "less", None: ""}[figure["higher_is_better"]]
        rows.append((figure["metric"], number(figure["value"]) + unit, better, shown(figure["beside"])))
    terminal.table(("metric", "figure", "better", "beside"), rows)
    terminal.say("\nConventions")
    for figure in found["figures"]:
        note = f" -- {figure['note']}" if figure["note"] else ""
        terminal.say(f"  {figure['metric']}: {figure['convention']} ({figure['count']}){note}")
    for note in found["notes"]:
        terminal.say(f"  {note}")
    if found["problem_count"]:
        terminal.say(f"\n{many(found['problem_count'], 'picture')} not judged")
        terminal.table(
            ("id", "code", "problem"),
            [(row["id"], row["code"], row["message"]) for row in found["problems"][:_SHOWN_PROBLEMS]],
        )
    if found["out"]:
        terminal.say(f"\nEvery picture's values: {found['out']}")
