"""Restoring a cell that killed its worker: in a child process, and frame by frame when the child dies too.

The parent keeps the lease. The child says on its standard output, one JSON line each, that work moved on, which frame
it is about to touch, and at last what came of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from db.child_process import ChildProcess, code_of_death
from db.errors import (
    InputError,
    OutOfMemoryError,
    PoisonFrameError,
    ReelwrightError,
    StoreUnavailable,
    TransientError,
    WorkError,
)
from db.records import Assignment, Record, TaskResult
from db.settings import Settings, environment
from db.store import open_store
from workers import device
from workers.tasks import restore
from workers.workbench import Workbench

PARENT = "REELWRIGHT_PARENT_PID"
"""Variable that tells a process whom it must not outlive."""


class IsolateOrder(Record):
    """What the child is told on its standard input."""

    assignment: Assignment
    device: str
    scratch: Path
    mode: int
    search: bool
    """Touch one frame after the other instead of restoring the segment."""


def restore_segment(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Do what ``workers.tasks.restore.restore_segment`` does, surviving whatever the frames do to the process.

    Raises:
        PoisonFrameError: One frame kills the process.
        OutOfMemoryError: The system kills the process, and no single frame is to blame.
        InputError: ``DECODER_CRASH``: the process dies, but no single frame is to blame.
    """
    outcome = _run_child(assignment, bench, search=False)
    if "result" in outcome:
        return TaskResult.model_validate(outcome["result"])
    _raise_child_error(outcome)
    search_outcome = _run_child(assignment, bench, search=True)
    _raise_child_error(search_outcome)
    if "touched" in search_outcome and not search_outcome.get("over"):
        frame = search_outcome["touched"]
        raise PoisonFrameError(f"the process ended with status {search_outcome['status']}", frame=frame)
    span = f"frames {assignment.start_frame} to {assignment.stop_frame - 1}"
    if code_of_death(outcome["status"], spared=True) == "OUT_OF_MEMORY":  # no frame does it alone
        raise OutOfMemoryError(f"The system killed the process that restored {span}")
    raise InputError(f"Restoring {span} kills the process, and no single frame is to blame", code="DECODER_CRASH")


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
        key_prefix=order.assignment.key_prefix,
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
                say(result=restore.restore_segment(order.assignment, bench).model_dump(mode="json"))
    except ReelwrightError as error:
        say(error=type(error).__name__, code=error.code, message=error.message, remedy=error.remedy)


def _run_child(assignment: Assignment, bench: Workbench, *, search: bool) -> dict[str, Any]:
    scratch = bench.scratch / ("search" if search else "restore")
    scratch.mkdir()
    order = IsolateOrder(assignment=assignment, device=bench.device, scratch=scratch, mode=bench.mode, search=search)
    variables = _outer_environment() | environment(bench.settings) | {PARENT: str(os.getpid())}
    answer: dict[str, Any] = {}
    with ChildProcess(["-m", "workers", "isolate"], environment=variables) as child:
        child.tell(order.model_dump(mode="json"), last=True)
        for document in child.stream():
            if "frames" in document:
                bench.advance(document["frames"])
            else:
                bench.advance()
                answer |= document
        return answer | {"status": child.wait()}


def _raise_child_error(outcome: dict[str, Any]) -> None:
    kinds = (InputError, TransientError, OutOfMemoryError, StoreUnavailable)
    kind = {kind.__name__: kind for kind in kinds}
    if "error" in outcome:
        raise kind.get(outcome["error"], WorkError)(outcome["message"], code=outcome["code"], remedy=outcome["remedy"])


def _open_reporter() -> Callable[..., None]:
    """Keep standard output for what the child says; what libraries print there goes to standard error from now on."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**values: Any) -> None:
        print(json.dumps(values), file=stream, flush=True)

    return say


def _outer_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REELWRIGHT_")}


def end_with_parent() -> None:
    """Make sure that this process ends when the one that started it does, however that one ends."""
    parent = int(os.environ.get(PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # Where the kernel cannot tell, and for a parent that ended before the line above: look.
    threading.Thread(target=_watch_parent, args=(parent,), name="parent-watch", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
