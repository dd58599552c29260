"""Commands about networks: ``models list|show|add|verify|remove``, ``compare``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.context import desk, need_pixels
from orchestrator.cli.terminal import many, size

if TYPE_CHECKING:
    from db.catalog.weights import Card
    from db.progress import WeightsRow

CardName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the weights; `models list` shows them.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Networks and their weights.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_)
    for command in (show, add, verify, remove):
        group.command()(command)
    app.add_typer(group, name="models")
    app.command()(compare)


def list_(context: typer.Context) -> None:
    """List the weights that are known, and which of them are registered here."""
    from orchestrator.on_demand import weights

    here = desk(context)
    with here.perhaps_database() as (_, database):
        found = weights.known(database)
    rows = [
        (each.name, each.architecture, _state(each, row), _size(each, row), _terms(each, row), _summary(each, row))
        for each, row in found
    ]
    here.terminal.table(("weights", "model", "registered", "size", "licence", "what they are"), rows)
    here.terminal.document([_facts(each, row) for each, row in found])


def show(context: typer.Context, name: CardName) -> None:
    """Show all that is known of some weights: system, terms, files, where they are published."""
    from db.catalog.architectures import ARCHITECTURES
    from db.catalog.weights import card
    from orchestrator.on_demand import weights

    here = desk(context)
    with here.perhaps_database() as (_, database):
        row = {each.name: row for each, row in weights.known(database)}.get(card(name).name)
    chosen = card(name)
    spec = ARCHITECTURES[chosen.architecture]
    say = here.terminal.say
    say(f"{chosen.name}: {_summary(chosen, row)}\n")
    say(f"  system     {spec.title}. {spec.paper}")
    say(f"  idea       {spec.idea}")
    say(f"  choose     {spec.choose}")
    say(f"  sees       {spec.size}")
    say(f"  options    {', '.join(spec.options) or 'none'}")
    say(f"  licence    {row.licence if row else chosen.licence}{f'. {chosen.accept}' if chosen.accept else ''}")
    say(f"  published  {chosen.published}")
    for file in chosen.files:
        held = f" holds {', '.join(file.networks)}" if file.networks else ""
        say(f"  file       {file.name}, about {file.megabytes} MB{held}{' (optional)' if file.optional else ''}")
    here_as = "shipped" if chosen.shipped else "registered"
    for pinned in row.files if row else ():
        say(f"  {here_as:10} {pinned.name}, {size(pinned.bytes)}, sha256 {pinned.sha256}")
    if row is None:
        say(f"  {here_as:10} no")
    for title, text in _training(chosen, row):
        say(f"  {title:10} {text}")
    here.terminal.document(_facts(chosen, row))


def add(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(help="Files, NETWORK=FILE, s3:// or https:// addresses, or one folder with all of a system."),
    ],
    card: Annotated[
        str | None,
        typer.Option(
            "--card", "--as", help="Which weights they are, or BASE:LABEL for own ones; else known by names and keys."
        ),
    ] = None,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="I accept their terms.")] = False,
    licence: Annotated[
        str | None, typer.Option(help="Terms of weights with a LABEL; none takes the file's own word.")
    ] = None,
) -> None:
    """Register published weights, or such as you trained: loaded completely, kept in the store, pinned by digest."""
    from db.store import open_store
    from orchestrator.on_demand import weights

    need_pixels()
    here = desk(context)
    settings = here.settings()
    with here.database(settings, make=True) as database, here.terminal.counting("bytes") as count:
        moved = _Sum(count)
        made = weights.add(
            settings, database, open_store(settings), files,
            name=card, accept_licence=accept_licence, licence=licence, moved=moved,
        )  # fmt: skip
    total = size(sum(file.bytes for file in made.files))
    here.terminal.say(f"{made.card}: {made.parameters:,} numbers in {many(len(made.files), 'file')}, {total}.")
    here.terminal.say(f"Licence: {made.licence}.")
    for file in made.files:
        here.terminal.say(f"  sha256 {file.sha256}  {file.name}")
    for note in made.notes:
        here.terminal.say(f"Note: {note}")
    here.terminal.document(made)


def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]", help="Weights; all registered ones by default.")
    ] = None,
) -> None:
    """Read registered weights back, compare their digests, load them again.

    Leaves with 1 if any are not as they were registered.
    """
    from db.store import open_store
    from orchestrator.on_demand import weights

    need_pixels()
    here = desk(context)
    settings = here.settings()
    with here.database(settings) as database:
        found = list(weights.verify(settings, database, open_store(settings), names or ()))
    rows = [(name, "as registered" if error is None else f"{error.code}: {error.message}") for name, error in found]
    here.terminal.table(("weights", "state"), rows)
    here.terminal.document(
        [{"card": name, "code": error and error.code, "message": error and error.message} for name, error in found]
    )
    if any(error for _, error in found):
        raise typer.Exit(1)


def remove(context: typer.Context, name: CardName) -> None:
    """Forget registered weights, and delete their files unless a job that is not over needs them."""
    from db.store import open_store
    from orchestrator.on_demand import weights

    here = desk(context)
    settings = here.settings()
    with here.database(settings) as database:
        deleted = weights.remove(database, open_store(settings), name)
    here.terminal.say(f"{name} is forgotten; {many(deleted, 'file')} deleted.")
    here.terminal.document({"card": name, "files_deleted": deleted})


def compare(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(help="Photos and films.")],
    models: Annotated[str, typer.Option(help="Models or weights, with commas between; one may be a recipe's name.")],
    out: Annotated[Path, typer.Option(help="The sheet: a PNG; an HTML page is put beside it.")] = Path("compare.png"),
    frames: Annotated[int, typer.Option(min=1, max=24, help="Frames taken of a film, evenly.")] = 3,
    height: Annotated[int, typer.Option(min=64, max=2048, help="Height of a picture on the sheet, in pixels.")] = 320,
) -> None:
    """Put the same pictures through several models and show them side by side on one sheet."""
    from orchestrator import weight_pins
    from orchestrator.on_demand import worker_process

    need_pixels()
    here = desk(context)
    with here.perhaps_database() as (settings, database):
        columns = weight_pins.columns([name.strip() for name in models.split(",") if name.strip()], database)
    order = {
        "sources": [str(path.resolve()) for path in sources],
        "columns": [{"title": title, "recipe": recipe.model_dump(mode="json")} for title, recipe in columns],
        "out": str(out.resolve()),
        "frames": frames,
        "height_px": height,
    }
    made = worker_process.run(settings, "compare", order)
    here.terminal.say(
        f"{many(made['rows'], 'picture')}, {many(len(columns), 'model')}: {made['png']} and {made['html']}"
    )
    for note in made["notes"]:
        here.terminal.say(f"Note: {note}")
    here.terminal.document(made)


class _Sum:
    """Turns pieces into the sum that a counter shows."""

    def __init__(self, count: Any) -> None:
        self._count, self._sum = count, 0

    def __call__(self, pieces: int) -> None:
        self._sum += pieces
        self._count(self._sum)


def _state(chosen: Card, row: WeightsRow | None) -> str:
    if chosen.shipped:
        return "shipped" if row else "lacking"
    return "yes" if row else "no"


def _size(chosen: Card, row: WeightsRow | None) -> str:
    return size(sum(file.bytes for file in row.files) if row else chosen.megabytes * 1e6)


def _terms(chosen: Card, row: WeightsRow | None) -> str:
    return (row.licence if row else chosen.licence).partition(";")[0]


def _summary(chosen: Card, row: WeightsRow | None) -> str:
    return (row and row.trained and row.trained.summary) or chosen.summary


def _training(chosen: Card, row: WeightsRow | None) -> Iterator[tuple[str, str]]:
    """Yield what is known of how weights came about."""
    from db.catalog import shipped, trained

    said = trained.checked(shipped.facts(chosen.name)) if row and row.shipped else row and row.trained
    if said:
        yield from [("data", said.data)] if said.data else []
        yield from (("figure", f"{name} {value:g}") for name, value in said.figures.items())
        yield from (("recipe", f"{name} {value}") for name, value in said.recipe.items())


def _facts(chosen: Card, row: WeightsRow | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": chosen.name,
        "model": chosen.architecture,
        "summary": chosen.summary,
        "licence": row.licence if row else chosen.licence,
        "shipped": chosen.shipped,
    }
    facts |= {"must_accept": chosen.accept, "published": chosen.published, "megabytes": chosen.megabytes}
    return {**facts, "files": list(chosen.files), "registered": row}
