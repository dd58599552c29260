"""Measures the frames of one segment for the reel profile."""

from __future__ import annotations

from db.records import Assignment, TaskResult
from workers import profiles
from workers.media import index, reel
from workers.tasks import survey
from workers.workbench import Workbench


def inspect(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Measure the frames ``[start_frame, stop_frame)`` as they came in, each by itself or with the one before it.

    Returns:
        ``values``: an npz blob of the arrays of all kinds of profile that the recipe needs, one row a frame. Of a reel
        whose frames nobody decoded before, what ``survey`` returns.

    Raises:
        InputError: The source cannot be read, or is not the one that was probed.
    """
    if assignment.reel.facts is not None and not assignment.reel.facts.surveyed:
        return survey.survey(assignment, bench)
    source_reel = reel.open_reel(assignment.reel, bench)
    kinds, start = assignment.reel.recipe.reel_needs, assignment.start_frame
    rows, before = [], None
    # One frame more at the front: where the row of a pair stands must not depend on where the reel was cut.
    first = max(0, start - 1) if profiles.looks_back(kinds) else start
    for number, (_, picture) in enumerate(reel.pictures(source_reel, first, assignment.stop_frame), first):
        if number >= start:
            rows.append(profiles.measure(kinds, picture, before))
            bench.advance(1)
        before = picture
    values = index.pack(**profiles.stack(rows))
    return TaskResult(outputs={"values": bench.put_bytes("values.npz", values)}, frames=len(rows))
