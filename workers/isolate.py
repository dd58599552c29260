"""Restoring a cell that killed its worker: in a child process, and frame by frame when the child dies too.

The parent keeps the lease. The child says on its standard output, one JSON line each, that work moved on, which frame
it is about to touch, and at last what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.errors import InputError, OutOfMemoryError, PoisonFrameError, ReelwrightError, TransientError, WorkError
from db.records import Assignment, Record, TaskResult
from db.settings import Settings, environment
from db.store import open_store
from workers import device, restore
from workers.workbench import Workbench


class Order(Record):
    """What the child is told on its standard input."""

    assignment: Assignment
    device: str
    scratch: Path
    search: bool
    """Touch one frame after the other instead of restoring the segment."""


def restore_segment(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Do what ``workers.restore.restore_segment`` does, surviving whatever the frames do to the process.

    Raises:
        PoisonFrameError: One frame kills the process.
        InputError: ``DECODER_CRASH``: the process dies, but no single frame is to blame.
    """
    ended = _child(assignment, bench, search=False)
    if "result" in ended:
        return TaskResult.model_validate(ended["result"])
    _raise_known(ended)
    found = _child(assignment, bench, search=True)
    if "touched" in found and not found.get("over"):
        frame = found["touched"]
        raise PoisonFrameError(f"the process ended with status {found['status']}", frame=frame)
    span = f"frames {assignment.start_frame} to {assignment.stop_frame - 1}"
    raise InputError(f"Restoring {span} kills the process, and no single frame is to blame", code="DECODER_CRASH")


def child_main(settings: Settings) -> None:
    """Be the child: read an order, do it, report on standard output."""
    order = Order.model_validate_json(sys.stdin.readline())
    device.settle(order.device)
    bench = Workbench(
        store=open_store(settings),
        scratch=order.scratch,
        settings=settings,
        key_prefix=order.assignment.key_prefix,
        device=order.device,
        report=lambda frames: _say(frames=frames),
    )
    try:
        if order.search:
            for frame in restore.touch_frames(order.assignment, bench):
                _say(touched=frame)
            _say(over=True)
        else:
            _say(result=restore.restore_segment(order.assignment, bench).model_dump(mode="json"))
    except ReelwrightError as error:
        _say(error=type(error).__name__, code=error.code, message=error.message, remedy=error.remedy)


def _child(assignment: Assignment, bench: Workbench, *, search: bool) -> dict[str, Any]:
    scratch = bench.scratch / ("search" if search else "restore")
    scratch.mkdir()
    order = Order(assignment=assignment, device=bench.device, scratch=scratch, search=search)
    child = subprocess.Popen(
        [sys.executable, "-m", "workers", "isolate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_clean_environment() | environment(bench.settings),
    )
    try:
        assert child.stdin is not None
        child.stdin.write(order.model_dump_json() + "\n")
        child.stdin.close()
        said: dict[str, Any] = {}
        for line in _lines(child):
            if "frames" in line:
                bench.moved(line["frames"])
            else:
                bench.moved()
                said |= line
        return said | {"status": child.wait()}
    finally:
        child.kill()
        child.wait()


def _raise_known(ended: dict[str, Any]) -> None:
    kind = {"InputError": InputError, "TransientError": TransientError, "OutOfMemoryError": OutOfMemoryError}
    if "error" in ended:
        raise kind.get(ended["error"], WorkError)(ended["message"], code=ended["code"], remedy=ended["remedy"])


def _lines(child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    for text in child.stdout:
        try:
            line = json.loads(text)
        except ValueError:  # the child died in the middle of a line
            continue
        if isinstance(line, dict):
            yield line


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 -- the child's only way to speak to its parent


def _clean_environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("REELWRIGHT_")}
