"""One server from its start to its end: what it listens on, who works beside it, and how it leaves."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn

from db import administration, session
from db.errors import InputError, ReelwrightError
from db.session import Database
from db.settings import Settings, make_home
from db.store import open_store
from orchestrator import embedded
from orchestrator.on_demand.look import Looks
from orchestrator.web import submitting
from orchestrator.web.address import Address
from orchestrator.web.app import make_app
from orchestrator.web.assets import Assets
from orchestrator.web.background import Background
from orchestrator.web.deliveries import Deliverer
from orchestrator.web.entrance import Failures, OneTimeCode
from orchestrator.web.events import Streams
from orchestrator.web.figures import InstallationFigures, Requests
from orchestrator.web.site import Site
from orchestrator.web.uploads import Uploads

GRACE_SECONDS = 3
"""How long answers in progress may take when the server ends."""
SWEEP_SECONDS = 600.0
TAKE_OVER_SECONDS = 2.0
"""How often a server looks whether the run that holds its home has ended."""

log = structlog.get_logger(__name__)


def check_access(database: Database, address: Address, *, is_open: bool) -> None:
    """Refuse to listen where anybody could ask and nobody could be known.

    Raises:
        InputError: ``BAD_SETTING``.
    """
    if is_open and not address.is_private:
        message = f"--no-login at {address.url}: whoever comes there could do anything"
        remedy = "Leave --no-login out, or listen on 127.0.0.1 without a --public-url."
        raise InputError(message, code="BAD_SETTING", remedy=remedy)
    if address.is_local:
        return
    if not address.public_url:
        message = f"To listen at {address.host} it must be known by which address people come"
        raise InputError(message, code="BAD_SETTING", remedy="Add --public-url, such as https://film.example.org.")
    if not any(token.revoked_at is None for token in administration.tokens(database)):
        message = f"To listen at {address.host} there must be somebody who may log in, and there is no token"
        raise InputError(message, code="BAD_SETTING", remedy="Make one with `reelwright tokens add NAME --role admin`.")


@contextmanager
def listen(host: str, port: int, path: Path | None) -> Iterator[socket.socket]:
    """Listen on a port, 0 for any that is free, or on a Unix socket that only this user may use.

    Raises:
        InputError: ``ADDRESS_UNUSABLE``.
    """
    with _bind(host, port, path) as listening:
        try:
            yield listening
        finally:
            if path:
                path.unlink(missing_ok=True)


@contextmanager
def open_site(settings: Settings, database: Database, address: Address, *, is_open: bool) -> Iterator[Site]:
    """Give what handlers need, and close at the end what works for them."""
    make_home(settings)
    settings.scratch_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    requests = Requests()
    with Looks(settings, settings.scratch_folder) as looks:
        site = Site(
            settings, database, address, is_open, OneTimeCode(), Failures(), Assets(), Streams(), Uploads(settings),
            Background(), looks, requests, InstallationFigures(database, settings.lease_seconds, requests),
        )  # fmt: skip
        try:
            yield site
        finally:
            site.background.close()


def serve(
    site: Site, listening: socket.socket, stop: threading.Event, *, works: bool, on_ready: Callable[[], None]
) -> None:
    """Answer requests until ``stop`` is set, and do the work of this home beside it.

    Args:
        site: What handlers are given.
        listening: The socket.
        stop: Set from outside, by a signal.
        works: Whether loop and workers run here: of an embedded home where the worker extra is installed.
        on_ready: Called when requests are answered.
    """
    worker = threading.Thread(target=_work, args=(site, stop), name="work") if works else None
    if worker:
        worker.start()
    sweeper = threading.Thread(target=_sweep, args=(site, stop), name="sweep", daemon=True)
    sweeper.start()
    config = uvicorn.Config(
        make_app(site), log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS, timeout_keep_alive=30, http="h11", loop="asyncio",
    )  # fmt: skip
    logging.getLogger("uvicorn.access").disabled = True  # whoever listens to it would see the codes in addresses
    try:
        _Server(config, site, stop, on_ready).run(sockets=[listening])
    finally:
        stop.set()
        if worker:
            worker.join()


class _Server(uvicorn.Server):
    """Ends when its event is set; streams are told first, as it waits for them."""

    def __init__(self, config: uvicorn.Config, site: Site, stop: threading.Event, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._site, self._stop, self._on_ready = site, stop, on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever set ``stop``: uvicorn would raise them again, and nothing be handed back."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._stop.is_set():
            self._site.streams.stop()
            self._site.stopping.set()
            return True
        return await super().on_tick(counter)


def _work(site: Site, stop: threading.Event) -> None:
    """Do the home's work; where it cannot be done here, say why on the pages."""
    try:
        with session.open_database(site.settings) as database:
            store, deliverer = open_store(site.settings), Deliverer(site.settings, database)
            while True:
                try:
                    embedded.work(
                        site.settings, database, store, stop, on_wait=site.note_waiting, on_upkeep=deliverer.wake
                    )
                    return
                except ReelwrightError as error:
                    if error.code != "HOME_IN_USE":
                        raise
                    if not site.done_elsewhere:
                        log.info("another does the work of this home", code=error.code)
                    site.done_elsewhere = True
                if stop.wait(TAKE_OVER_SECONDS):
                    return
    except ReelwrightError as error:
        site.note_waiting(f"{error.message}. {error.remedy}")
        log.warning("no work is done here", code=error.code, error=error.message)
    except Exception as error:  # a thread ends here: pages go on and say so
        site.note_waiting("The work stopped by an error that is not known; the server's log says more.")
        log.error("work stopped", error=f"{type(error).__name__}: {error}", exc_info=error)


def _sweep(site: Site, stop: threading.Event) -> None:
    submitting.resume(site)
    while not stop.wait(0 if stop.is_set() else SWEEP_SECONDS):
        site.uploads.sweep()


def _bind(host: str, port: int, path: Path | None) -> socket.socket:
    try:
        listening = _unix(path) if path else _tcp(host, port)
        listening.listen(512)
        listening.setblocking(False)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # a number, a NUL or a name that cannot be one
        shown = str(path) if path else f"{host}:{port}"
        message = f"{shown!r:.300}: {getattr(error, 'strerror', None) or error}"
        raise InputError(message, code="ADDRESS_UNUSABLE") from error
    return listening


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except BaseException:
        listening.close()
        raise
    return listening


def _unix(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        if path.is_socket() and _is_dead(path):
            path.unlink()
        listening.bind(str(path))
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _is_dead(path: Path) -> bool:
    """Whether nobody listens any more on a socket that an earlier server left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False
