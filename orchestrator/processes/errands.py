"""Errands: what a worker process is asked once, or line by line, and answers without a place in the records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from db.child_process import ChildProcess
from db.settings import Settings, environment
from orchestrator.processes.shares import worker_memory_mb

ERRAND_SECONDS = 3600.0
"""How long an errand may work without a word: a network over a large picture, or a film looked through, takes long."""


def start_errand(settings: Settings, errand: str, silent_seconds: float = ERRAND_SECONDS) -> ChildProcess:
    """Start ``python -m workers ERRAND``, which reads orders and prints answers, with a worker's share of memory."""
    variables = {"REELWRIGHT_WORKER_MEMORY_MB": str(worker_memory_mb(settings))}
    variables_there = {**os.environ, **environment(settings), **variables}
    return ChildProcess(["-m", "workers", errand], environment=variables_there, silent_seconds=silent_seconds)


class WorkerProcess:
    """A worker process that does order by order; the first starts it, and one after an order that killed it anew."""

    def __init__(self, settings: Settings, errand: str, silent_seconds: float = ERRAND_SECONDS) -> None:
        """Take what the worker is told of the house, an errand that is asked line by line, and its time for a line."""
        self._settings, self._errand, self._silent_seconds = settings, errand, silent_seconds
        self._child: ChildProcess | None = None

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to an order, which may be an error's code and message.

        Raises:
            ChildDied: The order killed the process.
        """
        if self._child is not None and not self._child.alive:
            self._child.wait()
            self._child = None
        self._child = self._child or start_errand(self._settings, self._errand, self._silent_seconds)
        return self._child.ask(order)

    def interrupt(self) -> None:
        """Make the process end now; who waits for its answer meets ``ChildDied``."""
        if self._child is not None:
            self._child.interrupt()

    def __enter__(self) -> WorkerProcess:
        """Start nothing yet."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """Let the process end, or make it drop what it is at when an exception passes."""
        if self._child is not None:
            self._child.__exit__(*exception)
