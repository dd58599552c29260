"""Commands about training: ``train``, ``pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from db.store import open_store
from db.writable import check_writable
from orchestrator.cli.context import CliContext, cli_context, require_worker_extra
from orchestrator.cli.options import PhotoRoots
from orchestrator.cli.terminal import Terminal
from orchestrator.on_demand import train as training
from orchestrator.on_demand import weights
from orchestrator.wording import format_duration, pluralize

_Photos = Annotated[str, typer.Argument(help="A folder, a manifest, or tar shards ('train-*.tar').")]


def train(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="lite-unet, folded-cnn, subpixel-cnn, ddcolor-tiny or ddcolor-large.")],
    photos: _Photos,
    out: Annotated[Path, typer.Option(help="Folder of this training; if it holds one already, that one continues.")],
    held_out: Annotated[
        str | None, typer.Option(help="Photos to judge by; if omitted, every twentieth is held out.")
    ] = None,
    label: Annotated[str, typer.Option(help="The weights will be called NETWORK:LABEL.")] = "mine",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only photos with COLUMN=VALUE in index.csv beside the shards; may be repeated."),
    ] = None,
    encoder: Annotated[Path | None, typer.Option(help="Weights of a classifier with which the encoder starts.")] = None,
    perception: Annotated[
        list[Path] | None, typer.Option(help="Weights of a classifier that compares pictures; may be repeated.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights of the network to start from.")] = None,
    side: Annotated[int | None, typer.Option(help="Side of the pictures that DDColor sees, in pixels.")] = None,
    colorfulness: Annotated[bool, typer.Option(help="Whether DDColor's colourfulness loss counts.")] = True,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of training steps; if omitted, the network's own.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Batch size: photos per step; if omitted, the network's own.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Peak learning rate; if omitted, the network's own.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Number of parts into which a step is split to fit into memory.")
    ] = 1,
    ema: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Decay of the weights' moving average; if omitted, the network's own."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="Number of processes that train together, one per GPU.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda …; if omitted, a GPU where there is one.")] = None,
    amp: Annotated[bool, typer.Option(help="Whether to use half precision on a GPU.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads; if omitted, all.")] = None,
    readers: Annotated[
        int | None, typer.Option(min=0, help="Number of processes that prepare photos in advance.")
    ] = None,
    look_every: Annotated[int | None, typer.Option(min=1, help="Steps between evaluations on held-out photos.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps between saves.")] = None,
    max_bad: Annotated[float | None, typer.Option(help="Largest share of photos that may be unreadable.")] = None,
    summary: Annotated[str, typer.Option(help="One sentence about the weights.")] = "Trained here.",
    license_text: Annotated[str, typer.Option("--license", "--licence", help="Licence of the weights.")] = "not stated",
    data: Annotated[str, typer.Option(help="What the photos are, and under which licence.")] = "",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard beside log.csv.")
    ] = False,
    add: Annotated[bool, typer.Option("--add", help="Register the weights when the training is done.")] = False,
    source_root: PhotoRoots = None,
) -> None:
    """Train a network on your own photos.

    The same command continues a training that was stopped.
    """
    require_worker_extra()
    cli = cli_context(context)
    check_writable(out, "--out")
    options = {
        "held-out": held_out, "label": label, "out": out, "encoder": encoder, "start": start, "side": side,
        "steps": steps, "batch": batch, "rate": rate, "seed": seed, "accumulate": accumulate, "ema": ema,
        "device": device, "threads": threads, "readers": readers, "look-every": look_every, "save-every": save_every,
        "max-bad": max_bad, "summary": summary, "license": license_text, "data": data,
    }  # fmt: skip
    flags = {"no-colorfulness": not colorfulness, "no-amp": not amp, "tensorboard": tensorboard}
    arguments = ["train", _operand(network), _operand(photos)]
    arguments += [f"--{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--only={pair}" for pair in only or ()]
    arguments += [f"--perception={path}" for path in perception or ()]
    arguments += _roots(cli, source_root)
    arguments += [f"--{name}" for name, on in flags.items() if on]
    card = _show_training(cli.terminal, arguments, gpus)
    if add:
        card["added"] = _register_weights(cli, card["path"])
    cli.terminal.document(card)


def pack(
    context: typer.Context,
    photos: _Photos,
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
    side: Annotated[int, typer.Option(min=16, help="Short side in pixels to which larger photos are reduced.")] = 256,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEG files.")] = 90,
    megabytes: Annotated[int, typer.Option(min=1, help="Largest size of a shard, in megabytes.")] = 60,
    seed: Annotated[int, typer.Option(help="Random seed of the shuffling.")] = 0,
    source_root: PhotoRoots = None,
) -> None:
    """Pack photos into tar shards for a machine with a GPU."""
    require_worker_extra()
    cli = cli_context(context)
    check_writable(out, "OUT")
    options = {"side": side, "quality": quality, "megabytes": megabytes, "seed": seed}
    arguments = [
        "pack",
        _operand(photos),
        _operand(str(out)),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    arguments += _roots(cli, source_root)
    summary: dict[str, Any] = {}
    for message in training.stream_training(arguments):
        if "shards" in message:
            summary = message
        else:
            cli.terminal.say(f"{message['done']} of {message['total']} photos")
    cli.terminal.say(f"{pluralize(summary['pictures'], 'photo')} in {pluralize(len(summary['shards']), 'shard')}.")
    if summary["unreadable"]:
        cli.terminal.say(f"Note: {pluralize(summary['unreadable'], 'photo')} could not be read and were left out.")
    cli.terminal.document(summary)


def _roots(cli: CliContext, source_root: list[str] | None) -> list[str]:
    return [f"--source-root={root}" for root in cli.settings(source_roots=source_root).source_roots]


def _operand(text: str) -> str:
    """Return text that no parser of arguments takes for an option."""
    return f"./{text}" if text.startswith("-") else text


def _show_training(terminal: Terminal, arguments: list[str], processes: int) -> dict[str, Any]:
    """Show a training; returns its card."""
    card: dict[str, Any] = {}
    for message in training.stream_training(arguments, processes=processes):
        if "begin" in message:
            where = f"continues at step {message['step']}" if message["step"] else pluralize(message["photos"], "photo")
            terminal.say(
                f"{message['begin']} on {message['device']}: {where}, {message['steps']} steps of {message['batch']}."
            )
        elif "card" in message:
            card = message
        else:
            parts = ", ".join(f"{name} {value:.4g}" for name, value in message["parts"].items())
            rate = f"{message['samples_per_second']:.1f} photos/s, {format_duration(message['seconds_left'])} left"
            scores = ", ".join(f"{name} {value:.4g}" for name, value in (message["judged"] or {}).items())
            terminal.say(
                f"step {message['step']} of {message['steps']}: {parts}; {rate}{f'; {scores}' if scores else ''}"
            )
    facts = card["card"]
    rows = [
        (name, _format_figure(facts["figures_before"].get(name)), _format_figure(value))
        for name, value in facts["figures"].items()
    ]
    terminal.table(("held-out photos", "before", "after"), rows)
    terminal.say(f"{facts['card']}: {card['path']}")
    terminal.say(f"To use it, run `reelwright models add {card['path']}`.")
    return card


def _format_figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _register_weights(cli: CliContext, path: str) -> str:
    settings = cli.settings()
    with cli.open_database(settings, make=True) as database:
        registration = weights.add(settings, database, open_store(settings), [path])
    cli.terminal.say(f"{registration.card} is registered.")
    return registration.card
