"""Starts the services of docker/compose.yml as it says: their order, commands, environment, volumes and health checks.

PostgreSQL, Redis and rclone come from packages instead of their images. All run in one network of their own, where each
has the port that the file names and is found by its name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.images.network import Network
from tests.images.workshop import ROOT, SERVERS, USER, Workshop
from tests.support.servers import wait_until

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text(encoding="utf-8"))["services"]
GIVEN = {
    "POSTGRES_PASSWORD": "secret1",
    "REDIS_PASSWORD": "secret2",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "secret3",
    "PUBLIC_URL": "https://film.example.org",
}
ENTRY = {"postgres": ["sh", "/entry.sh"], "redis": [], "s3": ["env", "rclone"]}
"""Entry points of the images that are stood in for; all others are ours. buildah looks for a program before it mounts
anything: env looks once more."""
STANDING_IN = {
    str(Path(__file__).with_name("postgres.sh")): "/entry.sh",
    str(Path(sys.executable).with_name("rclone")): "/usr/local/bin/rclone:ro,exec",
}
_PGDATA = {"PGDATA": "/var/lib/postgresql/data"}
"""A variable that the postgres image has."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in a text's variables as compose does."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], text)


@dataclass(frozen=True)
class Service:
    """One that was started."""

    name: str
    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    log: Path


@dataclass
class Composition:
    """An installation."""

    workshop: Workshop
    archive: Path
    folder: Path
    """For volumes, logs and results."""
    images: Mapping[str, str]
    """What was built, by the name that it has in the file."""
    more: Mapping[str, str]
    """Further variables for services that are ours."""
    services: list[Service] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network()
        (self.folder / "results").mkdir()
        shutil.chown(self.folder / "results", USER)

    def up(self, name: str) -> Service:
        """Start a service in its image, after all that it waits for is as it must be."""
        for other, wanted in SERVICES[name].get("depends_on", {}).items():
            started = self._newest(other) or self.up(other)
            if wanted["condition"] == "service_completed_successfully":
                assert started.process.wait(120) == 0, other
            else:
                self.await_health(other)
        image, path = (
            self.images.get(SERVICES[name]["image"], SERVERS),
            self.folder / f"log-{len(self.services)}-{name}",
        )
        words, variables = [*ENTRY.get(name, ["reelwright"]), *self._words(name)], self._variables(name)
        with path.open("w") as log:
            process = self.workshop.start(
                self.workshop.container(image, *SERVICES), *words, door=self.network.door, environment=variables,
                mounts=self._mounts(name), stdout=log, stderr=log,
            )  # fmt: skip
        made = Service(name, process, self.workshop.environment(image) | variables, path)
        self.services.append(made)
        wait_until(lambda: first_process(made) or process.poll() is not None, 60, f"{name} is started")
        return made

    def _words(self, name: str) -> list[str]:
        return [expand(word, GIVEN) for word in SERVICES[name].get("command", ())]

    def _variables(self, name: str) -> dict[str, str]:
        given = {each: expand(value, GIVEN) for each, value in SERVICES[name].get("environment", {}).items()}
        return {**given, **(_PGDATA if name in ENTRY else self.more)}

    def _mounts(self, name: str) -> dict[str, str]:
        """A service's volumes as folders here, and what stands in for an image's own files."""
        made = dict(STANDING_IN) if name in ENTRY else {str(self.folder / "results"): "/results:rw"}
        for volume in SERVICES[name].get("volumes", ()):
            source, _, target = expand(volume, {"ARCHIVE": str(self.archive)}).partition(":")
            place = Path(source) if source.startswith("/") else self.folder / source
            if not place.exists():
                place.mkdir()
                shutil.chown(place, USER)
            made[str(place)] = target if target.endswith(":ro") else f"{target}:rw"
        return made

    def _newest(self, name: str) -> Service | None:
        return next((each for each in reversed(self.services) if each.name == name), None)

    def ask(self, name: str, *words: str) -> str:
        """Run one command within a service, as ``docker compose exec`` does, and return what it printed.

        Not by buildah: where a second command in a container ends, it takes the first one's mounts away.
        """
        service = self._newest(name)
        first = service and first_process(service)
        assert service, f"{name} was not started"
        assert first, f"{name} does not run"
        ids = f"--setuid={first.uids().real}", f"--setgid={first.gids().real}"
        command = ["nsenter", f"--target={first.pid}", "--mount", "--net", "--root", "--wd", *ids, "--", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=service.environment)
        assert done.returncode == 0, (
            f"{' '.join(words)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def tell(self, *words: str) -> Any:
        """Run one command of ours beside an orchestrator, and return its document."""
        return json.loads(self.ask("orchestrator", "reelwright", "--json", *words))

    def await_health(self, name: str, seconds: float = 90) -> None:
        """Wait until a service's own health check says that it is well."""
        said: list[AssertionError] = []
        try:
            wait_until(lambda: self._is_well(name, said), seconds, f"{name} is healthy")
        except AssertionError as error:
            raise said[-1] from error

    def _is_well(self, name: str, said: list[AssertionError]) -> bool:
        service = self._newest(name)
        assert service, f"{name} was not started"
        if service.process.poll() is not None:
            pytest.fail(f"{name} ended: {service.log.read_text(encoding='utf-8')[-2000:]}")
        try:
            self.ask(name, *SERVICES[name]["healthcheck"]["test"][1:])
        except AssertionError as error:
            said.append(error)
            return False
        return True

    def close(self) -> None:
        for service in self.services:
            kill(service)
        self.network.close()


def kill(service: Service) -> int:
    """End a service's whole group at once and return its status."""
    if service.process.poll() is None:
        os.killpg(service.process.pid, signal.SIGKILL)
    return service.process.wait(90)


def stop(service: Service) -> float:
    """Ask a service to end, as ``docker stop`` does, and return how many seconds it took."""
    first = first_process(service)
    assert first, f"{service.name} does not run"
    begun = time.monotonic()
    first.send_signal(signal.SIGTERM)
    grace = float(SERVICES[service.name]["stop_grace_period"].removesuffix("s"))
    assert service.process.wait(grace) == 0, service.name
    return time.monotonic() - begun


def first_process(service: Service) -> psutil.Process | None:
    """Return the process that Docker would start first; what stands before it are buildah's own."""
    with suppress(psutil.Error, FileNotFoundError):
        for each in psutil.Process(service.process.pid).children(recursive=True):
            if os.readlink(f"/proc/{each.pid}/root") != "/" and not each.cmdline()[0].startswith("buildah"):
                return each
    return None
