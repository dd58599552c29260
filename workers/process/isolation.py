"""Work whose worker died, done in a child process; a segment also frame by frame when the child dies too.

The parent keeps the lease. The child, ``isolated_child``, says on its standard output, one JSON line each, that work
moved on, which frame it is about to touch, and at last what came of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from db.child_process import ChildProcess, code_of_death
from db.errors import (
    InputError,
    OutOfMemoryError,
    PoisonFrameError,
    PoisonItemError,
    StoreUnavailable,
    TransientError,
    WorkError,
)
from db.records import Assignment, ItemResult, ItemView, Record, TaskResult
from db.settings import environment
from db.states import TaskKind
from workers.workbench import Workbench

PARENT = "REELWRIGHT_PARENT_PID"
"""Variable that tells a process whom it must not outlive."""


class IsolateOrder(Record):
    """What the child is told on its standard input."""

    assignment: Assignment
    still: ItemView | None = None
    """The one of a bundle that is restored; none does the reel's task."""
    device: str
    scratch: Path
    key_prefix: str
    mode: int
    search: bool
    """Touch one frame after the other instead of restoring the segment."""


def perform(assignment: Assignment, bench: Workbench, still: ItemView | None = None) -> TaskResult | ItemResult:
    """Do a task, or restore one still of a bundle, in a child process, and survive whatever becomes of that.

    One death proves nothing, as anybody may have killed the child: what the work does to its process it does again.

    Raises:
        PoisonFrameError: One frame of a segment kills the process.
        PoisonItemError: The work kills its process, and no single frame is to blame.
        OutOfMemoryError: The system kills the process, and no single frame is to blame.
    """
    for last in (False, True):
        outcome = _run_child(assignment, bench, still, search=False)
        if "result" in outcome:
            kind = TaskResult if still is None and assignment.kind is not TaskKind.ASSEMBLE else ItemResult
            return kind.model_validate(outcome["result"])
        _raise_child_error(outcome)
        if not last and assignment.kind is TaskKind.RESTORE and still is None:
            _find_poison(assignment, bench)
    work = _describe(assignment, still)
    if code_of_death(outcome["status"], spared=True) == "OUT_OF_MEMORY":
        raise OutOfMemoryError(f"The system killed the process that {work}")
    raise PoisonItemError(f"The process that {work} ended twice, the last time with status {outcome['status']}")


def _find_poison(assignment: Assignment, bench: Workbench) -> None:
    """Touch frame by frame, twice; raises ``PoisonFrameError`` where the process dies both times at one frame."""
    deaths = []
    for _ in range(2):
        outcome = _run_child(assignment, bench, None, search=True)
        _raise_child_error(outcome)
        if "touched" not in outcome or outcome.get("over"):
            return
        deaths.append(outcome["touched"])
    if deaths[0] == deaths[1]:
        raise PoisonFrameError(f"the process ended with status {outcome['status']}", frame=deaths[0])


def _describe(assignment: Assignment, still: ItemView | None) -> str:
    """Say what a process did, behind "that"."""
    if still is not None:
        return f"restored {still.external_id!r:.200}"
    if assignment.kind is TaskKind.RESTORE:
        return f"restored frames {assignment.start_frame} to {assignment.stop_frame - 1}"
    return f"did the {assignment.kind} task of the reel"


def _run_child(assignment: Assignment, bench: Workbench, still: ItemView | None, *, search: bool) -> dict[str, Any]:
    scratch = Path(mkdtemp(prefix="search-" if search else "work-", dir=bench.scratch))
    order = IsolateOrder(
        assignment=assignment, still=still, device=bench.device, scratch=scratch, key_prefix=bench.key_prefix,
        mode=bench.mode, search=search,
    )  # fmt: skip
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
