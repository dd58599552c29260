"""Puts what was found of all segments together, once: the reel profile, and of a reel that was surveyed its facts."""

from __future__ import annotations

from dataclasses import replace

from db.errors import WorkError
from db.records import Assignment, TaskResult
from workers import profiles
from workers.media import index
from workers.tasks import probe, survey
from workers.workbench import Workbench


def merge(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Reduce per-frame measures in frame order, the same way however the reel was cut.

    Returns:
        ``profile``: an npz blob of named arrays with one row a frame, where the recipe needs it. Of a reel that was
        surveyed its facts, with ``index``; where anything is odd about it, what ``probe`` returns once it has decoded
        it from beginning to end, and no profile.

    Raises:
        WorkError: A part is missing.
        InputError: The source cannot be restored as it is; the code says why.
    """
    item, expected = assignment.reel, 0
    for part in assignment.parts:
        if part.start_frame != expected:
            raise WorkError(f"No measures of frames {expected} to {part.start_frame - 1}", code="WORKER_FAULT")
        expected = part.stop_frame
    facts, outputs = None, {}
    if item.facts is not None and not item.facts.surveyed:
        found = survey.join(assignment.parts, item.facts.frame_count, bench)
        if not found.is_even:
            return probe.probe_whole(assignment, bench)
        known = index.loads(bench.store.read(item.facts.index))
        outputs["index"] = bench.put_bytes("index.npz", replace(known, digest=found.digest).dumps())
        facts = item.facts.model_copy(update={"index": outputs["index"], "surveyed": True})
    if item.recipe.reel_needs:
        rows = []
        for part in assignment.parts:
            rows.append(index.unpack(bench.store.read(part.outputs["values"])))
            bench.advance()
        profile = profiles.profile(profiles.join(rows))
        outputs["profile"] = bench.put_bytes("profile.npz", index.pack(**profile))
    return TaskResult(outputs=outputs, facts=facts, frames=expected)
