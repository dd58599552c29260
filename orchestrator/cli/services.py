"""Commands that serve until they are stopped: ``worker`` and ``orchestrate``."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from db.logs import log_to
from orchestrator import loop, supervise
from orchestrator.cli.context import cli_context, require_worker_extra


def worker(
    context: typer.Context,
    slots: Annotated[
        int | None,
        typer.Option(help="Number of worker processes; if omitted, one per GPU, or one per core without a GPU."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N; if omitted, the setting.")] = None,
) -> None:
    """Run this machine's workers until stopped."""
    require_worker_extra()
    settings = cli_context(context).settings(slots=slots, device=device)
    log_to(sys.stderr, settings.log_level)
    with _stop_on_signal() as stop:
        supervise.serve_workers(settings, stop)


def orchestrate(context: typer.Context) -> None:
    """Plan, dispatch and reap until stopped.

    Several may run at once; one leads, and the others stand by.
    """
    cli = cli_context(context)
    settings = cli.settings()
    log_to(sys.stderr, settings.log_level)
    with cli.open_database(settings, make=True) as database, _stop_on_signal() as stop:
        loop.serve(settings, database, stop=stop)


_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Set an event on the first signal to stop: work in progress is handed back in order, and the exit code is 0."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
