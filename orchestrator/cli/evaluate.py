"""The command ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from db.errors import InputError
from db.writable import check_writable_file
from orchestrator.cli.context import CliContext, cli_context, require_worker_extra
from orchestrator.cli.logs import log_to_home
from orchestrator.cli.terminal import Terminal
from orchestrator.on_demand import evaluate as evaluation
from orchestrator.on_demand.evaluate import EvaluateRequest, format_baselines, format_number
from orchestrator.wording import format_duration, pluralize

_SHOWN_PROBLEMS = 20


def evaluate(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|JOB|PATH", help="Name of registered weights, number of a job, or path of finished pictures."
        ),
    ],
    references: Annotated[
        str,
        typer.Argument(
            help="A folder, a pattern ('set/*_HR.png'), a CSV or JSON Lines manifest, tar shards, or one file."
        ),
    ],
    inputs: Annotated[
        str | None, typer.Option(help="What the model is given, in the same forms; if omitted, made of the references.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names separated by commas, or `all`; docs/evaluation lists them.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="`own`, or the side in pixels of a square that references are brought to.")
    ] = "own",
    noise: Annotated[
        float | None, typer.Option(min=0, help="Standard deviation (of 255) of noise that is added to the inputs.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the noise.")] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the model as NAME=VALUE; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of references to take, evenly spread; if omitted, all.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for every picture's values: .json or .parquet.")] = None,
    queue: Annotated[bool, typer.Option("--queue", help="Run the model as a job, shared by all workers.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="With --queue: number of worker processes.")] = None,
) -> None:
    """Judge a model, a job or finished pictures by references.

    Every figure comes with its convention, and with the score of leaving the picture alone. Exits with 1 if any
    reference could not be judged.
    """
    require_worker_extra()
    cli = cli_context(context)
    if out:
        check_writable_file(out, "--out")
    request = EvaluateRequest(
        subject,
        references,
        inputs,
        tuple(name.strip() for name in (metrics or "").split(",") if name.strip()),
        _parse_options(option or []),
        _parse_size(size),
        noise,
        seed,
        limit,
        str(out.parent.resolve() / out.name) if out else None,
    )
    report = _evaluate_in_queue(cli, request, workers) if queue else _evaluate_here(cli, request)
    _show_report(cli.terminal, report)
    cli.terminal.document(report)
    if report["problem_count"]:
        raise typer.Exit(1)


def _evaluate_here(cli: CliContext, request: EvaluateRequest) -> dict[str, Any]:
    with (
        cli.open_existing_database() as (settings, database),
        cli.terminal.show_count("references", timed=True) as count,
    ):
        return evaluation.evaluate(settings, database, request, moved=count.update)


def _evaluate_in_queue(cli: CliContext, request: EvaluateRequest, workers: int | None) -> dict[str, Any]:
    settings = cli.settings(slots=workers)
    with (
        cli.open_database(settings, make=True) as database,
        log_to_home(settings),
        cli.terminal.show_progress() as follow,
    ):
        return evaluation.evaluate_in_queue(settings, database, request, on_progress=follow)


def _parse_options(texts: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in texts:
        name, equals, value = each.partition("=")
        if not equals:
            raise InputError(f"{each!r:.100} is not an option of the form NAME=VALUE")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _parse_size(text: str) -> int | None:
    if text == "own":
        return None
    if not text.isdecimal() or not 16 <= int(text) <= 4096:
        raise InputError(f"--size must be `own` or a number from 16 to 4096, not {text!r:.40}")
    return int(text)


def _show_report(terminal: Terminal, report: dict[str, Any]) -> None:
    films = f", {pluralize(report['films'], 'film')}" if report["films"] else ""
    terminal.say(
        f"{report['subject']}: {pluralize(report['pictures'], 'picture')}{films} "
        f"in {format_duration(report['seconds'])} "
        f"on {report['device']}\n"
    )
    rows = []
    for figure in report["figures"]:
        unit = "" if figure["unit"] == "1" or figure["value"] is None else f" {figure['unit']}"
        better = {True: "more", False: "less", None: ""}[figure["higher_is_better"]]
        rows.append(
            (figure["metric"], format_number(figure["value"]) + unit, better, format_baselines(figure["beside"]))
        )
    terminal.table(("metric", "figure", "better", "beside"), rows)
    terminal.say("\nConventions")
    for figure in report["figures"]:
        note = f" -- {figure['note']}" if figure["note"] else ""
        terminal.say(f"  {figure['metric']}: {figure['convention']} ({figure['count']}){note}")
    for note in report["notes"]:
        terminal.say(f"  {note}")
    if report["problem_count"]:
        terminal.say(f"\n{pluralize(report['problem_count'], 'picture')} not judged")
        terminal.table(
            ("id", "code", "problem"),
            [(row["id"], row["code"], row["message"]) for row in report["problems"][:_SHOWN_PROBLEMS]],
        )
    if report["out"]:
        terminal.say(f"\nEvery picture's values: {report['out']}")
