"""Sends worker processes on errands that touch pixels or weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from db.errors import CODES, InputError, WorkError
from db.settings import Settings
from orchestrator.processes import errands


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
    with errands.start_errand(settings, errand) as child:
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
