"""Commands about training: ``train``, ``pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.context import desk, need_pixels
from orchestrator.cli.terminal import duration, many

_Photos = Annotated[str, typer.Argument(help="A folder, a manifest, or tar shards ('train-*.tar').")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(train)
    app.command()(pack)


def train(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="lite-unet, folded-cnn, subpixel-cnn, ddcolor-tiny or ddcolor-large.")],
    photos: _Photos,
    out: Annotated[Path, typer.Option(help="Folder of this training; one that is there already goes on.")],
    held_out: Annotated[str | None, typer.Option(help="Photos to judge by; none holds out every twentieth.")] = None,
    label: Annotated[str, typer.Option(help="The weights are called NETWORK:LABEL.")] = "mine",
    only: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE of index.csv beside the shards.")] = None,
    encoder: Annotated[Path | None, typer.Option(help="Classifier's weights that the encoder starts as.")] = None,
    perception: Annotated[
        list[Path] | None, typer.Option(help="Classifier that compares pictures; may be given several times.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights of the network to go on from.")] = None,
    side: Annotated[int | None, typer.Option(help="Side of what DDColor sees, in pixels.")] = None,
    colorfulness: Annotated[bool, typer.Option(help="Whether DDColor's loss on colourfulness counts.")] = True,
    steps: Annotated[int | None, typer.Option(min=1, help="How many; none takes the course's own.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Photos a step.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate at its highest.")] = None,
    seed: Annotated[int, typer.Option(help="Of all drawing.")] = 0,
    accumulate: Annotated[int, typer.Option(min=1, help="Parts into which a step is cut to fit the memory.")] = 1,
    ema: Annotated[float | None, typer.Option(min=0, max=1, help="How slowly the kept average follows.")] = None,
    gpus: Annotated[int, typer.Option(min=1, help="Processes that train together, one a GPU.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda …; none takes a GPU where there is one.")] = None,
    amp: Annotated[bool, typer.Option(help="Half precision on a GPU.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU; none takes all.")] = None,
    readers: Annotated[int | None, typer.Option(min=0, help="Processes that prepare photos ahead.")] = None,
    look_every: Annotated[int | None, typer.Option(min=1, help="Steps between looks at held-out photos.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps between saves.")] = None,
    max_bad: Annotated[float | None, typer.Option(help="Share of photos that may be unreadable.")] = None,
    summary: Annotated[str, typer.Option(help="What the card says of the weights.")] = "Trained here.",
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "not stated",
    data: Annotated[str, typer.Option(help="What the photos are, and under which terms.")] = "",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write for TensorBoard beside log.csv.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Register the weights when they are done.")] = False,
) -> None:
    """Train a network on your own photos; the same command goes on with a training that was stopped."""
    need_pixels()
    here = desk(context)
    options = {
        "held-out": held_out, "label": label, "out": out, "encoder": encoder, "start": start, "side": side,
        "steps": steps, "batch": batch, "rate": rate, "seed": seed, "accumulate": accumulate, "ema": ema,
        "device": device, "threads": threads, "readers": readers, "look-every": look_every, "save-every": save_every,
        "max-bad": max_bad, "summary": summary, "licence": licence, "data": data,
    }  # fmt: skip
    flags = {"no-colorfulness": not colorfulness, "no-amp": not amp, "tensorboard": tensorboard}
    arguments = ["train", network, photos]
    arguments += [f"--{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--only={pair}" for pair in only or ()]
    arguments += [f"--perception={path}" for path in perception or ()]
    arguments += [f"--{name}" for name, on in flags.items() if on]
    card = _followed(here.terminal, arguments, gpus)
    if add:
        card["added"] = _added(here, card["path"])
    here.terminal.document(card)


def pack(
    context: typer.Context,
    photos: _Photos,
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
    side: Annotated[int, typer.Option(min=16, help="Short side in pixels to which larger photos are brought.")] = 256,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG.")] = 90,
    megabytes: Annotated[int, typer.Option(min=1, help="Largest size of a shard.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the shuffling.")] = 0,
) -> None:
    """Pack photos into tar shards that travel to a machine with a GPU."""
    from orchestrator.on_demand import train as training

    need_pixels()
    here = desk(context)
    options = {"side": side, "quality": quality, "megabytes": megabytes, "seed": seed}
    arguments = ["pack", photos, str(out), *(f"--{name}={value}" for name, value in options.items())]
    done: dict[str, Any] = {}
    for said in training.followed(arguments):
        if "shards" in said:
            done = said
        else:
            here.terminal.say(f"{said['done']} of {said['total']} photos")
    here.terminal.say(f"{many(done['pictures'], 'photo')} in {many(len(done['shards']), 'shard')}.")
    if done["unreadable"]:
        here.terminal.say(f"Note: {many(done['unreadable'], 'photo')} cannot be read and were left out.")
    here.terminal.document(done)


def _followed(terminal: Any, arguments: list[str], processes: int) -> dict[str, Any]:
    """Show a training; returns its card."""
    from orchestrator.on_demand import train as training

    card: dict[str, Any] = {}
    for said in training.followed(arguments, processes=processes):
        if "begin" in said:
            where = f"goes on at step {said['step']}" if said["step"] else many(said["photos"], "photo")
            terminal.say(f"{said['begin']} on {said['device']}: {where}, {said['steps']} steps of {said['batch']}.")
        elif "card" in said:
            card = said
        else:
            parts = ", ".join(f"{name} {value:.4g}" for name, value in said["parts"].items())
            rate = f"{said['samples_per_second']:.1f} photos/s, {duration(said['seconds_left'])} left"
            judged = ", ".join(f"{name} {value:.4g}" for name, value in (said["judged"] or {}).items())
            terminal.say(f"step {said['step']} of {said['steps']}: {parts}; {rate}{f'; {judged}' if judged else ''}")
    facts = card["card"]
    rows = [
        (name, _figure(facts["figures_before"].get(name)), _figure(value)) for name, value in facts["figures"].items()
    ]
    terminal.table(("held-out photos", "before", "after"), rows)
    terminal.say(f"{facts['card']}: {card['path']}")
    terminal.say(f"To use it: reelwright models add {card['path']}")
    return card


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _added(here: Any, path: str) -> str:
    from db.store import open_store
    from orchestrator.on_demand import weights

    settings = here.settings()
    with here.database(settings, make=True) as database:
        made = weights.add(settings, database, open_store(settings), [path])
    here.terminal.say(f"{made.card} is registered.")
    return made.card
