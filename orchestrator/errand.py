"""Sends worker processes on errands that touch pixels or weights. The command line and the preview use this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def run(settings: Settings, errand: str, order: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to an errand of ``python -m workers``.

    Raises:
        InputError: What the worker found wrong, under its own code.
        WorkError: The process died.
    """
    child = start(settings, errand)
    lines = child.communicate(json.dumps(order))[0].splitlines()
    if not lines or child.returncode:
        raise WorkError(f"The process that was asked ended with status {child.returncode} and said nothing")
    answer: dict[str, Any] = json.loads(lines[-1])
    if answer.get("code") in CODES and "message" in answer:
        raise InputError(answer["message"], code=answer["code"], remedy=answer.get("remedy"))
    return answer
