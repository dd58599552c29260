"""A server of pages over a home with a job, asked by people of each role."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from db.ledger import access
from db.session import Database
from db.settings import Settings
from db.states import Role
from orchestrator.submit import SubmitOptions, submit
from orchestrator.web import serving
from orchestrator.web.address import Address
from orchestrator.web.app import make_app
from orchestrator.web.site import Site
from tests.support.visitor import ADDRESS, Visitor


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """Without a log of its own structlog draws whatever stands in each frame of a traceback, which takes seconds."""
    with capture_logs():
        yield


@pytest.fixture
def site(settings: Settings, home_database: Database) -> Iterator[Site]:
    with serving.open_site(settings, home_database, ADDRESS, is_open=False) as made:
        yield made


@pytest.fixture
def app(site: Site) -> ASGIApp:
    return make_app(site)


@pytest.fixture
def operator(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "ada", Role.OPERATOR))


@pytest.fixture
def viewer(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "vi", Role.VIEWER))


@pytest.fixture
def admin(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "max", Role.ADMIN))


@pytest.fixture
def job_id(settings: Settings, home_database: Database, archive: Path) -> int:
    """Two stills and a reel that wait, an empty file and one that is not there."""
    return submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", name="Box 7")).job_id


@dataclass(frozen=True)
class Live:
    """A server that listens, in threads of this process."""

    site: Site
    stop: threading.Event
    thread: threading.Thread

    def ask(self, text: str | bytes, *, half_closed: bool = False) -> bytes:
        """Send bytes as they stand and return all that comes; ``HOST`` in them is the server's own."""
        with socket.create_connection(("127.0.0.1", self.site.address.port), timeout=20) as connection:
            raw = text.encode() if isinstance(text, str) else text
            connection.sendall(raw.replace(b"HOST", f"127.0.0.1:{self.site.address.port}".encode()))
            if half_closed:
                connection.shutdown(socket.SHUT_WR)
            got = b""
            with suppress(ConnectionResetError):  # who is refused early may still be sending
                while piece := connection.recv(65536):
                    got += piece
            return got


@pytest.fixture
def live(settings: Settings, home_database: Database) -> Iterator[Live]:
    stop, ready = threading.Event(), threading.Event()
    with serving.listen("127.0.0.1", 0, None) as listening:
        address = Address("127.0.0.1", listening.getsockname()[1])
        with serving.open_site(settings, home_database, address, is_open=False) as made:
            do = partial(serving.serve, made, listening, stop, works=False, on_ready=ready.set)
            thread = threading.Thread(target=do)
            thread.start()
            assert ready.wait(20)
            yield Live(made, stop, thread)
            stop.set()
            thread.join(20)
            assert not thread.is_alive()
