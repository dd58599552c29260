"""Sends worker processes on errands that touch pixels or weights."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from db import settings as settings_module
from db.errors import CODES, InputError, WorkError
from db.settings import Settings


def start(settings: Settings, errand: str) -> subprocess.Popen[str]:
    """Start ``python -m workers ERRAND``, which reads orders and prints answers."""
    return subprocess.Popen(
        [sys.executable, "-m", "workers", errand],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings_module.environment(settings)},
    )


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
    child = start(settings, errand)
    assert child.stdin is not None
    assert child.stdout is not None
    answer: dict[str, Any] = {}
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(json.dumps(order))
        for line in child.stdout:
            answer = json.loads(line)
            if answer.keys() == {"done", "of"}:
                moved(answer["done"], answer["of"])
    except BaseException:
        child.terminate()
        raise
    finally:
        child.wait()
        child.stdout.close()
    if not answer or child.returncode:
        raise WorkError(f"The process that was asked ended with status {child.returncode} and said nothing")
    check_answer(answer)
    return answer


def check_answer(answer: Mapping[str, Any]) -> None:
    """Make sure that what a process said is no error.

    Raises:
        InputError: What it found wrong, under its own code.
    """
    if answer.get("code") in CODES and "message" in answer:
        raise InputError(answer["message"], code=answer["code"], remedy=answer.get("remedy") or None)
