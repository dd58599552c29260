"""Restores one segment of a reel.

A segment streams: decoding runs ahead of the calling thread, which computes, and encoding behind it, with short queues
between, so memory does not grow with the segment. What is done to single frames before and after (hashes, conversions,
scores, encoding) a crew of threads does beside them, where the worker has more than one core, or the device does it
(``workers.tasks.frame_ends``). Every step works on whole cells of the reel's batch grid and sees exactly the frames
within its temporal radius, clamped at the reel's ends; so no output frame depends on where the reel was cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from db.recipe import Step
from db.records import Assignment, ItemView, TaskResult
from workers import background, device, profiles, stages
from workers.background import ALONE, Crew
from workers.frames import Clip, Memo, Reel
from workers.media import given_mask, index, reel
from workers.media.film import ffv1
from workers.media.pixels import WEIGHTS
from workers.media.sequences import write as sequence_write
from workers.ops import luma
from workers.tasks import ai_marking, frame_ends, repair_masks, scoring, step_changes, taking_over
from workers.tasks.frame_ends import Finish, FinishedFrame, FrameEnds, SourceCell, Span
from workers.workbench import Workbench

Note = Callable[[Clip, torch.Tensor, torch.Tensor | None], None]
"""Told the frames of a cell before a step and after it, and the mask of what was repaired."""
_CELLS_UNFINISHED = 2
"""How many cells of single frames a crew may have in hand: one that comes in, one that goes out."""


def restore_segment(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Restore the frames ``[start_frame, stop_frame)`` of a reel.

    Returns:
        ``chunk``, a lossless film of these frames alone, and ``scores``, their values by metric name (npz); of an
        image sequence, where its recipe asks for it, ``sequence``, a tar file of the written files.

    Raises:
        InputError: The source cannot be read, or is not the one that was probed.
        OutOfMemoryError: The machine was too small for the batch.
    """
    item, span = assignment.reel, (assignment.start_frame, assignment.stop_frame)
    if item.base is not None and not taking_over.has_part(item.base, *span):
        return taking_over.take_over_segment(assignment, item.base, bench)
    source_reel = reel.open_reel(item, bench)
    assert item.facts is not None
    path = bench.scratch / "chunk.mkv"
    layout = ffv1.master_layout(source_reel.layout, source_reel.size, item.recipe)
    size = ffv1.master_size(item.facts, item.recipe)
    archive = bench.scratch / "sequence.tar" if sequence_write.is_wanted(item) else None
    rows: list[dict[str, float]] = []
    recorder = step_changes.ChangeRecorder(item.recipe, item.facts.depth_bits)
    with ExitStack() as stack:
        most = _CELLS_UNFINISHED * item.batch_frames
        crew = stack.enter_context(background.open_crew(bench.settings.codec_threads, most))
        masks = stack.enter_context(repair_masks.open_chunks(item, bench))
        write = stack.enter_context(ffv1.open_writer(path, layout, size, item.facts.rate, item.facts, crew))
        add_to_archive = stack.enter_context(_open_archive(archive, source_reel, item, bench)) if archive else None

        def encode(entry: tuple[int, Callable[[], FinishedFrame]]) -> None:
            number, finished = entry[0], entry[1]()
            write(finished.samples)
            rows.append(finished.scores)
            if add_to_archive and finished.picture is not None:
                add_to_archive(number, finished.picture)
            bench.advance(1)

        ends = frame_ends.open_ends(source_reel, layout, archive is not None, bench.device)
        with background.write_behind(encode, item.batch_frames) as put:
            for restored, finish in _restore_cells(ends, item, span, recorder, masks, crew, bench):
                for entry in enumerate(finish(restored.frames, crew), restored.start):
                    put(entry)
                bench.advance()
    columns = scoring.join(rows) | recorder.values()
    outputs = {"chunk": bench.put("chunk.mkv", path), "scores": bench.put_bytes("scores.npz", index.pack(**columns))}
    outputs |= masks.put(item.recipe, bench)
    if archive:
        outputs["sequence"] = bench.put("sequence.tar", archive)
    return TaskResult(outputs=outputs, frames=span[1] - span[0])


def touch_frames(assignment: Assignment, bench: Workbench) -> Iterator[int]:
    """Read and restore one frame after the other, to find the one that kills the process.

    Yields:
        The frame that is touched next; handles are among them. The picture that comes out is thrown away.
    """
    item, span = assignment.reel, (assignment.start_frame, assignment.stop_frame)
    source_reel = reel.open_reel(item, bench)
    context = reel_context(source_reel, item)
    ends = frame_ends.open_ends(source_reel, source_reel.layout, False, bench.device)
    first, last = step_spans(item, span)[0]
    for number in range(first, last):
        yield source_reel.source_frame(number) if source_reel.source_frame(number) >= 0 else number
        clip, _ = next(_read_cells(ends, (number, number + 1), 1, bench))
        # A shot of its own: then no stage looks for frames beside it.
        alone = replace(context, shots=((number, number + 1),))
        for step in item.recipe.steps:
            clip = clip.with_frames(stages.apply(step, clip, number, number + 1, alone, bench))


def step_spans(item: ItemView, span: Span) -> list[Span]:
    """Return which frames each step must be given, in order, and at last the span itself: handles in whole cells."""
    assert item.facts is not None
    return stages.step_spans(item.recipe.steps, span, item.facts.frame_count, item.batch_frames)


def reel_context(
    source_reel: reel.IndexedReel, item: ItemView, profile: dict[str, NDArray[np.float64]] | None = None
) -> Reel:
    """Return what stages may know about a reel."""
    count = source_reel.facts.frame_count
    shots = profiles.shots(profile) if profile else ((0, count),)
    facts, boxes = source_reel.facts, source_reel.source.boxes
    return Reel(
        count, facts.rate, shots, profile or {}, facts.mono, item.batch_frames, facts.already_colored, boxes,
        source_reel.layout.transfer != "gamma", WEIGHTS.get(source_reel.layout.matrix, luma.BT601),
    )  # fmt: skip


def _open_archive(
    path: Path, source_reel: reel.IndexedReel, item: ItemView, bench: Workbench
) -> AbstractContextManager[sequence_write.Write]:
    mark = ai_marking.source_mark(item.recipe, source_reel.facts.already_colored, source_reel.facts.frame_count)
    return sequence_write.open_archive(path, source_reel, item, bench.scratch, mark.xmp())


def _restore_cells(
    ends: FrameEnds, item: ItemView, span: Span, recorder: step_changes.ChangeRecorder,
    masks: repair_masks.MaskChunks, crew: Crew, bench: Workbench,
) -> Iterator[tuple[Clip, Finish]]:  # fmt: skip
    """Restore cell by cell; yields each cell restored, and what makes its end."""
    source_reel = ends.source
    profile = index.unpack(bench.store.read(item.profile)) if item.profile else None
    context, input_spans = reel_context(source_reel, item, profile), step_spans(item, span)
    finishes: deque[Finish] = deque()

    def keep_finishes(cells: Iterator[tuple[Clip, SourceCell]]) -> Iterator[Clip]:
        for clip, cell in cells:
            if span[0] <= clip.start < span[1]:
                finishes.append(cell.finish)
            yield clip

    # The cores share a cell out; a device looks at all of it at once.
    at_once = item.batch_frames if ends.on_device else 1
    incoming = _read_cells(ends, input_spans[0], item.batch_frames, bench, crew)
    with ExitStack() as stack:
        cells = keep_finishes(stack.enter_context(background.read_ahead(incoming, 1)))
        for number, (step, target) in enumerate(zip(item.recipe.steps, input_spans[1:], strict=True)):

            def note(before: Clip, after: torch.Tensor, mask: torch.Tensor | None, number: int = number) -> None:
                if span[0] <= before.start < span[1]:  # not the handles: they are written, and counted, elsewhere
                    _note_changes(recorder, number, before, after, mask, at_once, crew)
                    masks.add(number, mask)

            cells = _apply_step(step, cells, target, item.batch_frames, context, note, bench)
            # A GPU that waits for a step that the cores do could as well be at the next cell.
            if ends.on_device and crew.has_threads:
                cells = stack.enter_context(background.read_ahead(cells, 1))
        for cell in cells:
            yield cell, finishes.popleft()


def _note_changes(
    recorder: step_changes.ChangeRecorder, number: int, before: Clip, after: torch.Tensor, mask: torch.Tensor | None,
    frames_at_once: int, crew: Crew,
) -> None:  # fmt: skip
    """Have the changes of a step in a cell measured by the crew."""
    for at in range(0, len(after), frames_at_once):
        part = slice(at, at + frames_at_once)
        given = None if mask is None else mask[part]
        crew.do(recorder.add, number, before.frames[part], after[part], given, before.start + at)


def _read_cells(
    ends: FrameEnds, span: Span, cell_frames: int, bench: Workbench, crew: Crew = ALONE
) -> Iterator[tuple[Clip, SourceCell]]:  # fmt: skip
    """Decode cell by cell, with what the manifest's mask marks."""
    masks, start = given_mask.read_masks(ends.source.mask, span), span[0]
    for cell in ends.cells(span, cell_frames, crew, bench.advance):
        count = len(cell.sources)
        mask = device.upload(np.stack(list(islice(masks, count)))[:, None], bench.device) if masks else None
        yield Clip(cell.frames, start, cell.sources, mask), cell
        start += count


def _apply_step(
    step: Step, cells: Iterator[Clip], target: Span, cell_frames: int, context: Reel, note: Note, bench: Workbench
) -> Iterator[Clip]:
    """Apply one step to every cell of ``target``, with a window of exactly its temporal radius."""
    radius, window, memo = stages.temporal_radius(step), None, Memo()
    for start in range(target[0], target[1], cell_frames):
        stop = min(start + cell_frames, target[1])
        low, high = max(0, start - radius), min(context.frame_count, stop + radius)
        window = window.part(max(low, window.start), window.stop) if window else None
        while window is None or window.stop < high:
            cell = next(cells)
            window = _concatenate(window, cell) if window and window.stop > low else cell
        inputs = replace(window.part(low, high), memo=memo)
        before = inputs.part(start, stop)
        after, mask = stages.repair(step, inputs, start, stop, context, bench)
        memo.forget_before(stop - radius)
        note(before, after, mask)
        yield before.with_frames(after)


def _concatenate(first: Clip, second: Clip) -> Clip:
    channels = max(first.frames.shape[1], second.frames.shape[1])
    frames = torch.cat([clip.frames.expand(-1, channels, -1, -1) for clip in (first, second)])
    mask = None if first.mask is None or second.mask is None else torch.cat([first.mask, second.mask])
    return Clip(frames, first.start, first.sources + second.sources, mask)
