"""Commands that serve until they are stopped: ``worker``, ``orchestrate`` and ``serve``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from db.errors import DiskFull
from db.logs import log_to
from db.settings import Settings
from db.writable import check_writable
from orchestrator import loop
from orchestrator.cli.context import CliContext, cli_context, require_web_extra, require_worker_extra, webhook_waker
from orchestrator.cli.logs import log_to_home
from orchestrator.cli.options import ServedRoots
from orchestrator.cli.places import check_home, check_workplaces
from orchestrator.diagnosis import missing_modules
from orchestrator.processes.fleet import serve_workers

if TYPE_CHECKING:
    from orchestrator.web.site import Site


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
    check_home(settings)
    with suppress(DiskFull):  # which is waited for
        check_workplaces(settings)
    log_to(sys.stderr, settings.log_level)
    with _stop_on_signal() as stop:
        serve_workers(settings, stop)


def orchestrate(context: typer.Context) -> None:
    """Plan, dispatch and reap until stopped.

    Several may run at once; one leads, and the others stand by.
    """
    cli = cli_context(context)
    settings = cli.settings()
    log_to(sys.stderr, settings.log_level)
    with cli.open_database(settings, make=True) as database, _stop_on_signal() as stop:
        loop.serve(settings, database, stop=stop, on_upkeep=webhook_waker(settings, database))


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes any that is free.")] = 8765,
    socket: Annotated[Path | None, typer.Option(help="Unix socket to listen at instead.")] = None,
    public_url: Annotated[
        str, typer.Option(help="Where people find the server, if something stands in front of it.")
    ] = "",
    no_login: Annotated[
        bool, typer.Option("--no-login", help="Let in whoever reaches it: on this machine alone, every user of it.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of worker processes; if omitted, one per GPU or core.")
    ] = None,
    source_root: ServedRoots = None,
) -> None:
    """Serve pages and API, and do this home's work.

    Prints a link that lets a browser in once. Elsewhere than on this machine it needs a token and --public-url.
    """
    require_web_extra()
    from orchestrator.web import serving
    from orchestrator.web.address import Address

    cli = cli_context(context)
    settings = cli.settings(slots=workers, source_roots=source_root)
    _check_folders(settings)
    with cli.open_database(settings, make=True) as database, serving.listen(host, port, socket) as listening:
        port = port if socket else listening.getsockname()[1]
        address = Address(host, port, socket, public_url)
        serving.check_access(database, address, is_open=no_login)
        works = settings.embedded and not missing_modules("worker")
        with (
            log_to_home(settings),
            serving.open_site(settings, database, address, is_open=no_login) as site,
            _stop_on_signal() as stop,
        ):
            serving.serve(site, listening, stop, works=works, on_ready=lambda: _announce(cli, site))


def _check_folders(settings: Settings) -> None:
    check_home(settings)
    with suppress(DiskFull):  # which is waited for
        check_writable(settings.scratch_folder, "the setting scratch" if settings.scratch else "--home")
        check_writable(settings.home / "uploads", "--home")


def _announce(cli: CliContext, site: Site) -> None:
    """Say where the server is, and open it where there is a desktop."""
    login = "" if site.is_open else f"{site.address.url}/enter?code={site.code.text}"
    cli.terminal.say(f"Reelwright is at {site.address.url}")
    if login:
        cli.terminal.say(f"This link lets one browser in, once, within ten minutes:\n  {login}")
    cli.terminal.event({"url": site.address.url, "login_url": login or None})
    sys.stdout.flush()
    if sys.stdout.isatty() and (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        webbrowser.open(login or site.address.url)


_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Set an event on a signal to stop: work in progress is handed back in order, and the exit code is 0.

    The handler writes a byte and a thread sets the event: an event has a lock, and a signal may come while it is held,
    by another signal's handler too, which would then wait for itself.
    """
    stop = threading.Event()
    heard, told = os.pipe()

    def listen() -> None:
        if os.read(heard, 1):
            stop.set()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda *_: os.write(told, b".")) for number in _STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)  # the listener reads the end, if it still listens
        listener.join()
        os.close(heard)
