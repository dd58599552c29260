"""The command line: the one room that prints. ``main`` is the installed command ``reelwright``.

Exit codes: 0 fine · 1 something failed or is undone · 2 wrong usage or input · 3 a service is away, or there is no room
· 4 refused in the present state · 70 a fault of ours · 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from db.errors import InputError, OutOfMemoryError, ReelwrightError, os_error
from orchestrator.cli import surroundings
from orchestrator.cli.commands import LazyGroup, named_path
from orchestrator.cli.context import CliContext
from orchestrator.cli.terminal import Terminal
from orchestrator.exit_codes import FAULT, INTERRUPTED, OK, exit_code

app = typer.Typer(
    name="reelwright",
    cls=LazyGroup,
    help="Restore large media archives: photos and digitized film reels, frame by frame.",
    epilog="--home and --json may be given before or after the command.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_release(context: typer.Context, wanted: bool) -> None:
    """Say the release and end; ``--json`` stands in front of it, see :func:`_hoist_options`."""
    if not wanted:
        return
    from importlib import metadata

    terminal, release = Terminal(as_json=bool(context.params.get("json"))), metadata.version("reelwright")
    terminal.say(f"reelwright {release}")
    terminal.document({"reelwright": release})
    raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(parser=named_path, help="Folder of the embedded database, store and logs.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", is_eager=True, help="Print one JSON document instead of text.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_release, help="Print the release and exit.")
    ] = False,
) -> None:
    context.obj = CliContext(home, Terminal(as_json=json))


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    surroundings.settle_streams()
    surroundings.heed_signals()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing that goes wrong leaves here as a traceback."""
    words = _hoist_options(arguments)
    terminal = Terminal(as_json="--json" in words)
    try:
        # Typer turns Ctrl-C into an exit code of its own, which is ours too.
        code = int(app(words, prog_name="reelwright", standalone_mode=False) or OK)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        unsaid = surroundings.flush_output()
        return _fail(Terminal(as_json=False), unsaid) if unsaid else code
    except TyperException as error:
        return _fail(terminal, InputError(error.format_message(), remedy="See `reelwright --help`."))
    except ReelwrightError as error:
        return _fail(terminal, error, **_details(error))
    except (KeyboardInterrupt, typer.Abort):
        with suppress(OSError):  # a terminal that was closed
            terminal.say("Interrupted. What is finished stays. The same command continues behind it.")
        surroundings.flush_output()
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        surroundings.mute_output()
        return OK
    except OSError as error:
        return _fail(terminal, os_error("The system", error))
    except MemoryError as error:
        return _fail(terminal, OutOfMemoryError(f"The command needs more memory than there is. {error}"))
    except Exception as error:
        if named := surroundings.link_error(error):
            return _fail(terminal, named)
        _fail(terminal, ReelwrightError(f"{type(error).__name__}: {str(error)[:500]}", remedy=_FAULT_REMEDY))
        if os.environ.get("REELWRIGHT_LOG_LEVEL") == logging.getLevelName(logging.DEBUG):
            traceback.print_exc()
        return FAULT


def _fail(terminal: Terminal, error: ReelwrightError, **more: Any) -> int:
    """Say what went wrong, as text on standard error where no document can be written; returns the exit code."""
    try:
        terminal.fail(error, **more)
        unheard = surroundings.flush_output() is not None
    except OSError:
        surroundings.mute_output()
        unheard = True
    if unheard and terminal.as_json:
        Terminal(as_json=False).fail(error)
    return exit_code(error)


_FAULT_REMEDY = "This is a fault of ours: set REELWRIGHT_LOG_LEVEL=DEBUG to see where it arose, and report it."


def _details(error: ReelwrightError) -> dict[str, object]:
    """A refused manifest brings all its problems along."""
    problems = getattr(error, "problems", None)
    return {"problems": problems, "problem_count": getattr(error, "count", 0)} if problems else {}


def _hoist_options(arguments: Sequence[str]) -> list[str]:
    """Move the global options to the front, wherever they stand before a ``--``."""
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments[:stop])
    for word in words:
        if word == "--json" or word.startswith("--home="):
            front.append(word)
        elif word == "--home":
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return [*front, *rest, *arguments[stop:]]
