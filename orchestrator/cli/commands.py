"""Every command, its module and its one line of help. A module is imported when its command is named, not before.

So ``reelwright --help`` is there at once, and the modules of commands import what they need at their top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import typer
import typer.main
from typer.core import TyperGroup


@dataclass(frozen=True)
class Command:
    """Where a command lives."""

    module: str
    """Of this package."""
    function: str
    summary: str
    """The first line of the function's docstring."""

    def load(self, name: str) -> Any:
        """Import the command's module and return what runs it."""
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name)(getattr(import_module(f"orchestrator.cli.{self.module}"), self.function))
        return typer.main.get_command(app)


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
    "run": Command("submission", "run", "Restore a manifest or folder here and now."),
    "submit": Command("submission", "submit", "Make a job of a manifest for workers elsewhere."),
    "plan": Command("submission", "plan", "Find all problems of a manifest and estimate the work."),
    "status": Command("jobs", "status", "Show all jobs, or one job with its items and workers."),
    "watch": Command("jobs", "watch", "Follow a job until it is over or paused."),
    "failures": Command("jobs", "failures", "List what failed in a job, with code, cause and remedy."),
    "rerun": Command("jobs", "rerun", "Start items again, by default all that failed."),
    "pause": Command("jobs", "pause", "Pause a job."),
    "resume": Command("jobs", "resume", "Go on with a paused job."),
    "cancel": Command("jobs", "cancel", "End a job; what is done stays."),
    "priority": Command("jobs", "priority", "Change a job's priority."),
    "get": Command("results", "get", "Put a job's results into a folder."),
    "verify": Command("results", "verify", "Hold results against what was written down."),
    "compare": Command("models", "compare", "Show the same pictures through several models on one sheet."),
    "evaluate": Command("evaluate", "evaluate", "Judge a model, a job or finished pictures by references."),
    "train": Command("training", "train", "Train a network on your own photos, or go on with a training."),
    "pack": Command("training", "pack", "Pack photos into tar shards for a machine with a GPU."),
    "worker": Command("services", "worker", "Run this machine's workers until stopped."),
    "orchestrate": Command("services", "orchestrate", "Plan, dispatch and reap until stopped."),
    "stages": Command("stages", "stages", "List the stages, or one with its parameters."),
    "metrics": Command("metrics", "metrics", "List the metrics, or explain one with its convention."),
    "doctor": Command("installation", "doctor", "Check this installation."),
    "models": Group(
        "Networks and their weights.",
        {
            "list": Command("models", "list_", "List the weights that are known, and which are registered here."),
            "show": Command("models", "show", "Show all that is known of some weights."),
            "add": Command("models", "add", "Register weights: published ones, or your own."),
            "verify": Command("models", "verify", "Read registered weights back and compare their digests."),
            "remove": Command("models", "remove", "Forget registered weights and delete their files."),
        },
    ),
    "db": Group(
        "The database's schema.",
        {
            "upgrade": Command("installation", "upgrade", "Bring the database to this release's schema."),
            "check": Command("installation", "check", "Say whether the database has this release's schema."),
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
