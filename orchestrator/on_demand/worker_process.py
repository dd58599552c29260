"""Sends worker processes on errands that touch pixels or weights: all that knows of ``python -m workers ERRAND``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from db import settings as settings_module
from db.child_process import ChildProcess
from db.errors import CODES, InputError, WorkError
from db.settings import Settings
from orchestrator import supervise

SILENT_SECONDS = 3600.0
"""How long an errand may work without a word: a network over a large picture, or a film looked through, takes long."""


def start(settings: Settings, errand: str, silent_seconds: float = SILENT_SECONDS) -> ChildProcess:
    """Start ``python -m workers ERRAND``, which reads orders and prints answers, with a worker's share of memory."""
    variables = {"REELWRIGHT_WORKER_MEMORY_MB": str(supervise.worker_memory_mb(settings))}
    environment = {**os.environ, **settings_module.environment(settings), **variables}
    return ChildProcess(["-m", "workers", errand], environment=environment, silent_seconds=silent_seconds)


class WorkerProcess:
    """A worker process that does order by order; the first starts it, and one after an order that killed it anew."""

    def __init__(self, settings: Settings, errand: str, silent_seconds: float = SILENT_SECONDS) -> None:
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
        self._child = self._child or start(self._settings, self._errand, self._silent_seconds)
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


def run(
    settings: Settings,
    errand: str,
    order: dict[str, Any],
    *,
    moved: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return the answer to an errand of ``python -m workers``.

    Args:
        settings: What the worker is told of the house.
        errand: Its name.
        order: What it is asked.
        moved: Told how much is done, of how much, by errands that say so while they go on.

    Raises:
        InputError: What the worker found wrong, under its own code.
        WorkError: The process died.
    """
    answer: dict[str, Any] = {}
    with start(settings, errand) as child:
        child.tell(order, last=True)
        for answer in child.stream():
            if answer.keys() == {"done", "of"}:
                moved(answer["done"], answer["of"])
        status = child.wait()
    if not answer or status:
        death = child.death(status)
        raise WorkError(f"{death}; it was to do {errand}", code=death.code)
    check_answer(answer)
    return answer


def check_answer(answer: Mapping[str, Any]) -> None:
    """Make sure that what a process said is no error.

    Raises:
        InputError: What it found wrong, under its own code.
    """
    if answer.get("code") in CODES and "message" in answer:
        raise InputError(answer["message"], code=answer["code"], remedy=answer.get("remedy") or None)
