"""What comes next for a reel: pure decisions from what was probed and done. Writes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from db.ledger import NewTask, ReelPlan, ReelView, WorkerKind
from db.recipe import Recipe
from db.records import BLOCK_FRAMES
from db.settings import Settings
from db.states import TaskKind

_MOST_SURVEYED = 4
"""Segments that one task of a survey takes at most."""
_SURVEYED_APART = 16
"""Tasks that a survey is divided into at least, where a reel has so many segments."""


def next_tasks(view: ReelView, settings: Settings, signature: str | None) -> ReelPlan | None:
    """Decide the next tasks of a reel of which a task just finished.

    Args:
        view: The reel as the ledger shows it.
        settings: Sizes of segments and cells.
        signature: Compute signature to bind new work to, or none while no worker lives.

    Returns:
        The plan (without tasks while others are under way), or none when it must wait for a worker.
    """
    batch_frames = view.batch_frames or settings.batch_frames
    handle_frames = handles(view.item.recipe, batch_frames)
    if view.live or view.item.facts is None:
        return ReelPlan([], view.signature, batch_frames, handle_frames)
    bound = view.signature or signature
    if bound is None:
        return None
    segment_frames = json.loads(view.job_options_json).get("segment_frames") or settings.segment_frames
    base = view.item.base
    spans = cut(view.item.facts.frame_count, int(segment_frames), batch_frames)
    if not view.item.facts.surveyed or (view.item.recipe.reel_needs and view.item.profile is None):
        if TaskKind.INSPECT in view.done:
            tasks = [NewTask(TaskKind.MERGE)]
        else:
            if not view.item.facts.surveyed:
                spans = cut(spans[-1][1], _survey_frames(spans), batch_frames)
            tasks = [NewTask(TaskKind.INSPECT, *span) for span in spans]
    elif TaskKind.READ_BACK in view.done:
        tasks = [NewTask(TaskKind.ASSEMBLE)]
    elif TaskKind.RESTORE in view.done:
        blocks = cut(view.item.facts.frame_count, BLOCK_FRAMES, 1)
        tasks = [NewTask(TaskKind.READ_BACK, *span) for span in blocks]
    else:
        if base is not None:
            spans = cut_around(spans, base.frames, batch_frames)
        tasks = [NewTask(TaskKind.RESTORE, *span) for span in spans]
    return ReelPlan(tasks, bound, batch_frames, handle_frames)


def _survey_frames(spans: list[tuple[int, int]]) -> int:
    """Return how many frames a task of a survey takes: of long reels several segments, as it decodes a few more."""
    segments = min(_MOST_SURVEYED, max(1, len(spans) // _SURVEYED_APART))
    return segments * (spans[0][1] - spans[0][0])


def cut(frame_count: int, segment_frames: int, batch_frames: int) -> list[tuple[int, int]]:
    """Cut ``frame_count`` frames into half-open segments whose bounds lie on the grid of cells.

    ``segment_frames`` is rounded up to whole cells; the last segment may be shorter.
    """
    step = -(-segment_frames // batch_frames) * batch_frames
    return [(start, min(start + step, frame_count)) for start in range(0, frame_count, step)]


def cut_around(spans: list[tuple[int, int]], changed: tuple[int, int], batch_frames: int) -> list[tuple[int, int]]:
    """Return segments of a reel of which only the frames ``changed`` are done anew; what is taken over is in one piece.

    Bounds lie on the grid of cells, as those of ``spans`` do, which cover the reel.
    """
    count = spans[-1][1]
    first, last = changed[0] // batch_frames * batch_frames, min(count, -(-changed[1] // batch_frames) * batch_frames)
    inner = [(max(first, start), min(last, stop)) for start, stop in spans if start < last and stop > first]
    return [span for span in ((0, first), *inner, (last, count)) if span[0] < span[1]]


def handles(recipe: Recipe, batch_frames: int) -> int:
    """Frames that are read around a segment at most: each step's temporal radius, rounded up to whole cells, in sum."""
    radii = (step.temporal_radius for step in recipe.steps)
    return sum(-(-radius // batch_frames) * batch_frames for radius in radii)


def choose_signature(kinds: Sequence[WorkerKind], recipe: Recipe) -> str | None:
    """The compute signature that a reel is bound to; the smaller name among equals, so that all choose alike.

    That which most live workers share; where a network is run, one of those on accelerators, if there are any: a few
    of them are sooner done than many cores.
    """
    suits = [kind for kind in kinds if kind.accelerated] if recipe.needs_weights else []
    return min(((-kind.count, kind.signature) for kind in suits or kinds), default=(0, None))[1]
