"""Every command, its module and its one line of help. A module is imported when its command is named, not before.

So ``reelwright --help`` is there at once, and the modules of commands import what they need at their top.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import typer
import typer.main
from typer.core import TyperGroup

from db.errors import InputError

MOST_NUMBER = 2**31 - 1
"""The largest number that is taken as an argument, and the smallest below 0: a column of PostgreSQL holds it."""


@dataclass(frozen=True)
class Command:
    """Where a command lives."""

    module: str
    """Of this package."""
    function: str
    summary: str
    """The first line of the function's docstring."""
    example: str
    """Words behind ``reelwright`` that somebody would type; the help ends with them."""

    def load(self, name: str) -> Any:
        """Import the command's module and return what runs it."""
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        function = getattr(import_module(f"orchestrator.cli.{self.module}"), self.function)
        app.command(name, epilog=f"Example: reelwright {self.example}")(function)
        command = typer.main.get_command(app)
        for parameter in command.params:
            descriptor = cast(Any, parameter).type_descriptor
            _bound_number(descriptor.parameter_info)
            if descriptor.is_path:
                descriptor.parameter_info.parser = named_path
        return command


def _bound_number(option: Any) -> None:
    """Refuse numbers that a database cannot hold; help and pages show only bounds that mean more."""
    option.max = MOST_NUMBER if option.max is None else option.max
    option.min = -MOST_NUMBER if option.min is None else option.min


def named_path(text: Any) -> Path:
    """Read a path; an empty one, as of a variable that is not set, is not the folder that one happens to be in."""
    if not str(text):
        raise InputError("An empty path was given", code="PATH_UNUSABLE", remedy="Name it; `.` is the present folder.")
    return Path(text)


@dataclass(frozen=True)
class Group:
    """Commands under one word."""

    summary: str
    commands: Mapping[str, Command]

    def load(self, name: str) -> LazyGroup:
        """Return the group; none of its commands is imported yet."""
        return LazyGroup(
            name=name, entries=self.commands, help=self.summary, no_args_is_help=True, rich_markup_mode=None
        )


COMMANDS: dict[str, Command | Group] = {
    "run": Command(
        "running",
        "run",
        "Restore a manifest or folder here and now.",
        "run box-12 --recipe silent-film --out restored/box-12",
    ),
    "submit": Command(
        "submission",
        "submit",
        "Submit a manifest as a job for workers elsewhere.",
        "submit archive.csv --recipe silent-film --name box-12",
    ),
    "plan": Command("submission", "plan", "Find all problems of a manifest and estimate the work.", "plan archive.csv"),
    "status": Command(
        "jobs", "status", "Show all jobs, or one job with its items and workers.", "status 1 --state failed"
    ),
    "watch": Command("jobs", "watch", "Follow a job until it ends or is paused.", "watch 1"),
    "failures": Command("jobs", "failures", "List what failed in a job, with code, cause and remedy.", "failures 1"),
    "rerun": Command(
        "jobs",
        "rerun",
        "Start items again: the failed ones, unless others are selected.",
        "rerun 1 --code FILE_MISSING",
    ),
    "pause": Command("jobs", "pause", "Pause a job.", "pause 1"),
    "resume": Command("jobs", "resume", "Continue a paused job.", "resume 1"),
    "cancel": Command("jobs", "cancel", "Cancel a job; finished results are kept.", "cancel 1"),
    "priority": Command("jobs", "priority", "Change a job's priority.", "priority 1 10"),
    "get": Command("results", "get", "Copy a job's results into a folder.", "get 1 --bag --out /bags/box-12"),
    "verify": Command("results", "verify", "Verify a job's results against its records.", "verify 1 --sources"),
    "compare": Command(
        "models",
        "compare",
        "Show the same pictures through several models on one sheet.",
        "compare a.jpg b.mkv --models ddcolor-tiny,eccv16",
    ),
    "evaluate": Command(
        "evaluate",
        "evaluate",
        "Judge a model, a job or finished pictures by references.",
        "evaluate reelwright-denoise photos/ --noise 25",
    ),
    "train": Command(
        "training",
        "train",
        "Train a network on your own photos.",
        "train folded-cnn photos/ --out my-denoiser --label grain",
    ),
    "pack": Command(
        "training", "pack", "Pack photos into tar shards for a machine with a GPU.", "pack photos/ shards/ --side 256"
    ),
    "worker": Command("services", "worker", "Run this machine's workers until stopped.", "worker --slots 4"),
    "orchestrate": Command("services", "orchestrate", "Plan, dispatch and reap until stopped.", "orchestrate"),
    "serve": Command(
        "services",
        "serve",
        "Serve pages and API, and do this home's work.",
        "serve --port 8765",
    ),
    "stages": Command("stages", "stages", "List the stages, or one with its parameters.", "stages denoise"),
    "metrics": Command("metrics", "metrics", "List the metrics, or explain one with its convention.", "metrics psnr"),
    "doctor": Command("installation", "doctor", "Check this installation.", "doctor"),
    "models": Group(
        "Networks and their weights.",
        {
            "list": Command("models", "list_", "List the known weights, and which are registered here.", "models list"),
            "show": Command("models", "show", "Show what is known about some weights.", "models show ddcolor-tiny"),
            "add": Command(
                "models", "add", "Register weights: published ones, or your own.", "models add ddcolor_paper_tiny.pth"
            ),
            "verify": Command(
                "models", "verify", "Read registered weights back and compare their digests.", "models verify"
            ),
            "remove": Command(
                "models", "remove", "Remove registered weights and delete their files.", "models remove ddcolor-tiny"
            ),
        },
    ),
    "tokens": Group(
        "Who may use the web face.",
        {
            "add": Command(
                "tokens", "add", "Make a token; its secret is shown this once.", "tokens add lab-3 --role operator"
            ),
            "list": Command("tokens", "list_", "List all tokens, without their secrets.", "tokens list"),
            "revoke": Command(
                "tokens",
                "revoke",
                "End a token for good, and the sessions that it opened.",
                "tokens revoke lab-3",
            ),
        },
    ),
    "backup": Command(
        "copying",
        "backup",
        "Copy database and store into a folder, while workers go on.",
        "backup /backup/reelwright",
    ),
    "restore": Command(
        "copying",
        "restore",
        "Bring a backup back into an empty home or installation.",
        "restore /backup/reelwright",
    ),
    "prune": Command(
        "pruning",
        "prune",
        "Remove what jobs that have long been over need no more.",
        "prune --older-than 90d --dry-run",
    ),
    "db": Group(
        "The database, as a whole.",
        {
            "upgrade": Command("installation", "upgrade", "Bring the database to this release's schema.", "db upgrade"),
            "check": Command("installation", "check", "Check that the database has this release's schema.", "db check"),
            "copy": Command(
                "copying",
                "copy",
                "Copy a whole installation into an empty one: from a home to servers, or back.",
                "db copy --to postgresql://db/films --store s3://films",
            ),
        },
    ),
}


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them."""

    def __init__(self, *, entries: Mapping[str, Command | Group] = COMMANDS, **attributes: Any) -> None:
        """Take the table in place of commands that are there already."""
        super().__init__(**attributes)
        self.entries = entries
        self.commands = cast(Any, _LoadedCommands(entries))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.entries)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help to a person who names no command; a program is told that one is missing."""
        if args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        cli = ctx.find_root().obj
        if cli is not None and cli.terminal.as_json:
            ctx.fail("Missing command.")
        print(ctx.get_help(), file=sys.stderr)
        raise typer.Exit(2)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])


class _LoadedCommands(Mapping[str, Any]):
    """Commands by name, each loaded when it is asked for."""

    def __init__(self, entries: Mapping[str, Command | Group]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> Any:
        return self._entries[name].load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
