"""The processes of an installation: workers and orchestrators on machines with clocks of their own, kept alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from db.settings import Settings, environment

KEEPING_SECONDS = 0.5
"""How soon a process that ended is started again, as systemd or Compose do."""


def clock_library() -> Path | None:
    """Return libfaketime's library, where it is installed; without it no clock is stepped."""
    spec = find_spec("libfaketime")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(each for folder in folders or () for each in Path(folder).rglob("libfaketime*.so*"))
    plain = [path for path in found if "MT" not in path.name]
    return (plain or found or [None])[0]


@dataclass
class Machine:
    """One command of ours that is started again whenever it ends."""

    name: str
    arguments: list[str]
    settings: Settings
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    exits: list[int] = field(default_factory=list)
    """Exit codes, negative for signals."""

    @property
    def clock(self) -> Path:
        """The file by which its clock is set."""
        return self.settings.home.parent / f"{self.name}.clock"

    def set_clock(self, seconds: int) -> None:
        """Put its clock ahead, or back."""
        self.clock.write_text(f"{seconds:+d}\n")

    def start(self) -> None:
        """Start it with a clock of its own."""
        if not self.clock.exists():
            self.set_clock(0)
        variables = dict(os.environ) | environment(self.settings)
        library = clock_library()
        if library is not None:
            variables |= {
                "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1",
            }  # fmt: skip
        with (self.settings.home.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reelwright", *self.arguments],
                env=variables, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def tree(self) -> list[psutil.Process]:
        """Return its processes, the one that was started first."""
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def keep(self) -> None:
        """Start it again if it has ended."""
        if self.process is None or (code := self.process.poll()) is None:
            return
        self.exits.append(code)
        self.start()

    def end(self) -> None:
        """End it and all that it started."""
        for each in reversed(self.tree()):
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait()


class Park:
    """All machines, and who keeps them alive."""

    def __init__(self, settings: Settings, workers: int, orchestrators: int) -> None:
        """Start them."""
        self.workers = [Machine(f"worker-{number}", ["worker"], settings) for number in range(workers)]
        self.orchestrators = [
            Machine(f"orchestrator-{number}", ["orchestrate"], settings) for number in range(orchestrators)
        ]
        for machine in self.machines:
            machine.start()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    @property
    def machines(self) -> list[Machine]:
        """Workers and orchestrators."""
        return [*self.workers, *self.orchestrators]

    def heal(self) -> None:
        """Let go on what was stopped, and set all clocks right."""
        for machine in self.machines:
            machine.set_clock(0)
            for each in machine.tree():
                try:
                    each.send_signal(signal.SIGCONT)
                except psutil.NoSuchProcess:
                    continue

    def close(self) -> None:
        """End everything."""
        self._over.set()
        self._keeper.join()
        for machine in self.machines:
            machine.end()

    def _keep(self) -> None:
        while not self._over.wait(KEEPING_SECONDS):
            for machine in self.machines:
                machine.keep()
