"""The child that does what killed a worker; ``isolation`` is its parent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from db.errors import ReelwrightError
from db.records import ItemResult, TaskResult
from db.settings import Settings
from db.store import open_store
from workers import device
from workers.process.isolation import IsolateOrder, end_with_parent
from workers.tasks import by_kind, restore
from workers.tasks.restore_still import restore_still
from workers.workbench import Workbench


def child_main(settings: Settings) -> None:
    """Be the child: read an order, do it, report on standard output."""
    order = IsolateOrder.model_validate_json(sys.stdin.readline())
    end_with_parent()
    say = _open_reporter()
    device.make_deterministic(order.device)
    bench = Workbench(
        store=open_store(settings),
        scratch=order.scratch,
        settings=settings,
        key_prefix=order.key_prefix,
        device=order.device,
        mode=order.mode,
        report=lambda frames: say(frames=frames),
    )
    try:
        with device.translate_memory_errors():
            if order.search:
                for frame in restore.touch_frames(order.assignment, bench):
                    say(touched=frame)
                say(over=True)
            else:
                say(result=_do(order, bench).model_dump(mode="json"))
    except ReelwrightError as error:
        say(error=type(error).__name__, code=error.code, message=error.message, remedy=error.remedy)


def _do(order: IsolateOrder, bench: Workbench) -> TaskResult | ItemResult:
    if order.still is not None:
        return restore_still(order.still, bench)
    return by_kind.WORK[order.assignment.kind](order.assignment, bench)


def _open_reporter() -> Callable[..., None]:
    """Keep standard output for what the child says; what libraries print there goes to standard error from now on."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**values: Any) -> None:
        print(json.dumps(values), file=stream, flush=True)

    return say
