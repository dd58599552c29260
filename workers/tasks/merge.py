"""Puts the measures of all segments together into the reel profile, once."""

from __future__ import annotations

from db.errors import WorkError
from db.records import Assignment, TaskResult
from workers import profiles
from workers.media import index
from workers.workbench import Workbench


def merge(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Reduce per-frame measures in frame order, the same way however the reel was cut.

    Returns:
        ``profile``: an npz blob of named arrays with one row a frame.

    Raises:
        WorkError: A part is missing.
    """
    rows = []
    expected = 0
    for part in assignment.parts:
        if part.start_frame != expected:
            raise WorkError(f"No measures of frames {expected} to {part.start_frame - 1}", code="WORKER_FAULT")
        rows.append(index.unpack(bench.store.read(part.outputs["values"])))
        expected = part.stop_frame
        bench.advance()
    profile = profiles.profile(profiles.join(rows))
    return TaskResult(outputs={"profile": bench.put_bytes("profile.npz", index.pack(**profile))}, frames=expected)
