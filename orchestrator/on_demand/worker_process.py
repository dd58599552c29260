"""Sends worker processes on errands that touch pixels or weights: all that knows of ``python -m workers ERRAND``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from db import settings as settings_module
from db.child_process import ChildDied, ChildProcess
from db.errors import CODES, InputError, WorkError
from db.settings import Settings


def start(settings: Settings, errand: str) -> ChildProcess:
    """Start ``python -m workers ERRAND``, which reads orders and prints answers."""
    environment = {**os.environ, **settings_module.environment(settings)}
    return ChildProcess(["-m", "workers", errand], environment=environment)


class WorkerProcess:
    """A worker process that does order by order; the first starts it, and one after an order that killed it anew."""

    def __init__(self, settings: Settings, errand: str) -> None:
        """Take what the worker is told of the house, and the name of an errand that is asked line by line."""
        self._settings, self._errand = settings, errand
        self._child: ChildProcess | None = None

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to an order, which may be an error's code and message.

        Raises:
            ChildDied: The order killed the process.
        """
        if self._child is not None and not self._child.alive:
            self._child.wait()
            self._child = None
        self._child = self._child or start(self._settings, self._errand)
        return self._child.ask(order)

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
        raise WorkError(f"{ChildDied(status)} and said nothing")
    check_answer(answer)
    return answer


def check_answer(answer: Mapping[str, Any]) -> None:
    """Make sure that what a process said is no error.

    Raises:
        InputError: What it found wrong, under its own code.
    """
    if answer.get("code") in CODES and "message" in answer:
        raise InputError(answer["message"], code=answer["code"], remedy=answer.get("remedy") or None)
