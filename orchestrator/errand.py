"""Sends a worker process on an errand that touches pixels or weights, and takes its one answer. The CLI uses this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from db import settings as settings_module
from db.errors import CODES, InputError, WorkError
from db.settings import Settings


def run(settings: Settings, errand: str, order: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to an errand of ``python -m workers``.

    Raises:
        InputError: What the worker found wrong, under its own code.
        WorkError: The process died.
    """
    done = subprocess.run(
        [sys.executable, "-m", "workers", errand],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings_module.environment(settings)},
        check=False,
    )
    lines = done.stdout.splitlines()
    if not lines or done.returncode:
        raise WorkError(f"The process that was asked ended with status {done.returncode} and said nothing")
    answer: dict[str, Any] = json.loads(lines[-1])
    if answer.get("code") in CODES and "message" in answer:
        raise InputError(answer["message"], code=answer["code"], remedy=answer.get("remedy"))
    return answer
