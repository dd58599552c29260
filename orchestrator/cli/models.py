"""Commands about networks: ``models list|show|add|verify|remove``, ``compare``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from db.catalog import shipped, trained
from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import Card, card
from db.errors import InputError
from db.progress import WeightsRow
from db.store import open_store
from db.writable import check_writable_file
from orchestrator import weight_pins
from orchestrator.catalogue import model_facts
from orchestrator.cli.context import cli_context, require_worker_extra
from orchestrator.on_demand import weights, worker_process
from orchestrator.wording import format_size, pluralize

CardName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the weights; `reelwright models list` shows them.")
]


def list_(context: typer.Context) -> None:
    """List the known weights, and which are registered here."""
    cli = cli_context(context)
    with cli.open_existing_database() as (_, database):
        cards = weights.list_cards(database)
    rows = [
        (each.name, each.architecture, _state(each, row), _size(each, row), _terms(each, row), _summary(each, row))
        for each, row in cards
    ]
    cli.terminal.table(("weights", "model", "registered", "size", "licence", "what they are"), rows)
    cli.terminal.document([model_facts(each, row) for each, row in cards])


def show(context: typer.Context, name: CardName) -> None:
    """Show what is known about some weights.

    Model, licence, files, and where they are published.
    """
    cli = cli_context(context)
    with cli.open_existing_database() as (_, database):
        row = {each.name: row for each, row in weights.list_cards(database)}.get(card(name).name)
    weights_card = card(name)
    spec = ARCHITECTURES[weights_card.architecture]
    say = cli.terminal.say
    say(f"{weights_card.name}: {_summary(weights_card, row)}\n")
    say(f"  system     {spec.title}. {spec.reference}")
    say(f"  idea       {spec.idea}")
    say(f"  choose     {spec.choose}")
    say(f"  sees       {spec.size}")
    say(f"  options    {', '.join(spec.options) or 'none'}")
    say(
        f"  licence    {row.license if row else weights_card.license}"
        f"{f'. {weights_card.accept}' if weights_card.accept else ''}"
    )
    say(f"  published  {weights_card.published}")
    for file in weights_card.files:
        networks = f" holds {', '.join(file.networks)}" if file.networks else ""
        say(f"  file       {file.name}, about {file.megabytes} MB{networks}{' (optional)' if file.optional else ''}")
    state = "shipped" if weights_card.shipped else "registered"
    for weights_file in row.files if row else ():
        say(f"  {state:10} {weights_file.name}, {format_size(weights_file.bytes)}, sha256 {weights_file.sha256}")
    if row is None:
        say(f"  {state:10} no")
    for title, text in _training_facts(weights_card, row):
        say(f"  {title:10} {text}")
    cli.terminal.document(model_facts(weights_card, row))


def add(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, NETWORK=FILE, s3:// or https:// addresses, or one folder with all files of a model."
        ),
    ],
    card: Annotated[
        str | None,
        typer.Option(
            "--card",
            "--as",
            help="Name of the weights, or BASE:LABEL for your own; if omitted, told from names and keys.",
        ),
    ] = None,
    accept_license: Annotated[bool, typer.Option("--accept-license", help="Accept the terms of the weights.")] = False,
    license_text: Annotated[
        str | None,
        typer.Option(
            "--license", "--licence", help="Terms of weights with a LABEL; if omitted, those that the file states."
        ),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", hidden=True, help="Old spelling of --accept-license, for one release.")
    ] = False,
) -> None:
    """Register weights: published ones, or your own.

    They are loaded completely, kept in the store and pinned by digest.
    """
    require_worker_extra()
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings, make=True) as database, cli.terminal.show_count("bytes") as count:
        byte_sum = _ByteSum(count)
        registration = weights.add(
            settings, database, open_store(settings), files,
            name=card, accept_license=accept_license or accept_licence, license_text=license_text, moved=byte_sum,
        )  # fmt: skip
    total = format_size(sum(file.bytes for file in registration.files))
    cli.terminal.say(
        f"{registration.card}: {registration.parameters:,} parameters "
        f"in {pluralize(len(registration.files), 'file')}, {total}."
    )
    cli.terminal.say(f"Licence: {registration.license}.")
    for file in registration.files:
        cli.terminal.say(f"  sha256 {file.sha256}  {file.name}")
    for note in registration.notes:
        cli.terminal.say(f"Note: {note}")
    cli.terminal.document(registration)


def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMES]", help="Names of weights; if omitted, all that are registered."),
    ] = None,
) -> None:
    """Read registered weights back and compare their digests.

    They are loaded again, too. Exits with 1 if any differ from what was registered.
    """
    require_worker_extra()
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings) as database:
        results = list(weights.verify(settings, database, open_store(settings), names or ()))
    rows = [(name, "as registered" if error is None else f"{error.code}: {error.message}") for name, error in results]
    cli.terminal.table(("weights", "state"), rows)
    cli.terminal.document(
        [{"card": name, "code": error and error.code, "message": error and error.message} for name, error in results]
    )
    if any(error for _, error in results):
        raise typer.Exit(1)


def remove(context: typer.Context, name: CardName) -> None:
    """Remove registered weights and delete their files.

    Files are kept while a job that has not ended needs them.
    """
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings) as database:
        file_count = weights.remove(database, open_store(settings), name)
    cli.terminal.say(f"{name} is no longer registered; {pluralize(file_count, 'file')} deleted.")
    cli.terminal.document({"card": name, "files_deleted": file_count})


def compare(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(help="Photos and films.")],
    models: Annotated[
        str, typer.Option(help="Models or weights, separated by commas; recipes' names and files may be among them.")
    ],
    out: Annotated[Path, typer.Option(help="PNG file for the sheet; an HTML page is written beside it.")] = Path(
        "compare.png"
    ),
    frames: Annotated[
        int, typer.Option(min=1, max=24, help="Number of frames to take from each film, evenly spread.")
    ] = 3,
    height: Annotated[int, typer.Option(min=64, max=2048, help="Height of a picture on the sheet, in pixels.")] = 320,
) -> None:
    """Show the same pictures through several models on one sheet."""
    require_worker_extra()
    cli = cli_context(context)
    names = [name.strip() for name in models.split(",") if name.strip()]
    if not names:
        raise InputError("--models names none", remedy="`reelwright models list` has the names.")
    check_writable_file(out, "--out")
    with cli.open_existing_database() as (settings, database):
        columns = weight_pins.compare_columns(names, database)
    order = {
        "sources": [str(path.resolve()) for path in sources],
        "columns": [{"title": title, "recipe": recipe.model_dump(mode="json")} for title, recipe in columns],
        "out": str(out.parent.resolve() / out.name),
        "frames": frames,
        "height_px": height,
    }
    sheet = worker_process.run(settings, "compare", order)
    cli.terminal.say(
        f"{pluralize(sheet['rows'], 'picture')}, {pluralize(len(columns), 'model')}: {sheet['png']} and {sheet['html']}"
    )
    for note in sheet["notes"]:
        cli.terminal.say(f"Note: {note}")
    cli.terminal.document(sheet)


class _ByteSum:
    """Turns pieces into the sum that a counter shows."""

    def __init__(self, count: Any) -> None:
        self._count, self._sum = count, 0

    def __call__(self, pieces: int) -> None:
        self._sum += pieces
        self._count(self._sum)


def _state(weights_card: Card, row: WeightsRow | None) -> str:
    if weights_card.shipped:
        return "shipped" if row else "lacking"
    return "yes" if row else "no"


def _size(weights_card: Card, row: WeightsRow | None) -> str:
    return format_size(sum(file.bytes for file in row.files) if row else weights_card.megabytes * 1e6)


def _terms(weights_card: Card, row: WeightsRow | None) -> str:
    return (row.license if row else weights_card.license).partition(";")[0]


def _summary(weights_card: Card, row: WeightsRow | None) -> str:
    return (row and row.trained and row.trained.summary) or weights_card.summary


def _training_facts(weights_card: Card, row: WeightsRow | None) -> Iterator[tuple[str, str]]:
    """Yield what is known of how weights came about."""
    training = trained.from_document(shipped.facts(weights_card.name)) if row and row.shipped else row and row.trained
    if training:
        yield from [("data", training.data)] if training.data else []
        yield from (("figure", f"{name} {value:g}") for name, value in training.figures.items())
        yield from (("recipe", f"{name} {value}") for name, value in training.recipe.items())
