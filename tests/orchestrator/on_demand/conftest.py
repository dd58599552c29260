"""Errands are run in this process: importing torch in a new one for every question takes most of these tests' time.

A test that is marked ``real_process`` asks a real one; the journeys do too.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from db.settings import Settings
from orchestrator.on_demand import worker_process
from workers import __main__ as workers_main


def run_here(
    settings: Settings, errand: str, order: dict[str, Any], *,
    moved: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:  # fmt: skip
    """Do what ``worker_process.run`` does, with the same words going in and coming out."""
    said, standard = io.StringIO(), (sys.stdin, sys.stdout)
    sys.stdin, sys.stdout = io.StringIO(json.dumps(order)), said
    try:
        workers_main._answer(workers_main._SINGLE_ORDER[errand], settings)
    finally:
        sys.stdin, sys.stdout = standard
    *progress, answer = map(json.loads, said.getvalue().splitlines())
    for line in progress:
        moved(line["done"], line["of"])
    worker_process.check_answer(answer)
    found: dict[str, Any] = answer
    return found


@pytest.fixture(autouse=True)
def errands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("real_process") is None:
        monkeypatch.setattr(worker_process, "run", run_here)
