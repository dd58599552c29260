"""Restores one segment of a reel, or one still.

A segment streams: decoding runs in one thread, computing in the calling one, encoding in a third, with short queues
between, so memory does not grow with the segment. Every step works on whole cells of the reel's batch grid and sees
exactly the frames within its temporal radius, clamped at the reel's ends; so no output frame depends on where the reel
was cut.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import WorkError
from db.recipe import Recipe, Step
from db.records import Assignment, Blob, ItemResult, ItemView, TaskResult
from workers import background, profiles, stages
from workers.frames import Clip, Memo, Reel
from workers.media import given_mask, index, reel
from workers.media.film import ffv1
from workers.media.pixels import COLOR_SPREAD, WEIGHTS, Layout, Picture, Planes, change_planes, to_planes
from workers.media.reel import ShownFrame
from workers.media.sequences import write as sequence_write
from workers.media.source import check_file, fixity, local_still
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.media.stills import xmp
from workers.ops import luma
from workers.tasks import ai_marking, gates, repair_masks, scoring, step_changes, taking_over, work_size
from workers.workbench import Workbench

Span = tuple[int, int]
"""Half-open range of absolute frame numbers."""
Note = Callable[[Clip, torch.Tensor, torch.Tensor | None], None]
"""Told the frames of a cell before a step and after it, and the mask of what was repaired."""


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
    values: list[dict[str, NDArray[np.float64]]] = []
    recorder = step_changes.ChangeRecorder(item.recipe, item.facts.depth_bits)
    with ExitStack() as stack:
        threads = max(1, bench.settings.codec_threads)
        masks = stack.enter_context(repair_masks.open_chunks(item, bench))
        write = stack.enter_context(ffv1.open_writer(path, layout, size, item.facts.rate, item.facts, threads))
        add_to_archive = stack.enter_context(_open_archive(archive, source_reel, item, bench)) if archive else None

        def encode(entry: tuple[int, Picture, ShownFrame]) -> None:
            number, picture, shown = entry
            write(_to_samples(picture, shown, layout, source_reel.layout))
            if add_to_archive:
                add_to_archive(number, picture)
            bench.advance(1)

        with background.write_behind(encode, item.batch_frames) as put:
            for restored, source in _restore_cells(source_reel, item, span, recorder, masks, bench):
                values.append(scoring.score(restored, source.clip))
                for number, (frame, shown) in enumerate(
                    zip(restored.frames, source.shown, strict=True), restored.start
                ):
                    put((number, _to_picture(frame, layout), shown))
                bench.advance()
    columns = {name: np.concatenate([part[name] for part in values]) for name in values[0]} | recorder.values()
    outputs = {"chunk": bench.put("chunk.mkv", path), "scores": bench.put_bytes("scores.npz", index.pack(**columns))}
    outputs |= masks.put(item.recipe, bench)
    if archive:
        outputs["sequence"] = bench.put("sequence.tar", archive)
    return TaskResult(outputs=outputs, frames=span[1] - span[0])


def restore_still(item: ItemView, bench: Workbench) -> ItemResult:
    """Check, restore and write one still, in its own format and depth where that can be done.

    Raises:
        InputError: The photo cannot be read, or is not the one that the manifest names.
        OutOfMemoryError: The machine was too small for it.
    """
    path = local_still(item.source, bench.settings, bench.scratch, lambda count: bench.advance())
    head = stills.header(path, bench.settings)
    shape = work_size.PictureShape(head.width, head.height, head.channels < 3)
    work_size.check(item.recipe, shape, bench.settings, item.source.uri)
    digest = fixity([path], item.source.checksum, bench.advance, size_bytes=item.source.bytes)
    first = stills.read(path, bench.settings, accept_damaged=item.source.accept_damaged)
    bench.advance()
    page_records: list[_Page] = []

    def pages() -> Iterator[stills.Photo]:
        for photo in stills.pages_of(path, first, bench.settings, accept_damaged=item.source.accept_damaged):
            output, page = _restore_page(photo, len(page_records), item, bench)
            page_records.append(page)
            bench.advance()
            yield output

    target, losses = _write_still(path, first, item, pages(), bench)
    bench.advance()
    mark = ai_marking.source_mark(item.recipe, all(page.is_colored for page in page_records))
    losses += xmp.copy_xmp(path, target, mark.xmp())
    bench.advance(1)
    values = {name: np.concatenate([page.values[name] for page in page_records]) for name in page_records[0].values}
    outputs = {"still": bench.put(target.name, target), "scores": bench.put_bytes("scores.npz", index.pack(**values))}
    for page in page_records:
        outputs |= page.masks
    facts = {
        "kind": first.kind, "width": first.samples.shape[1], "height": first.samples.shape[0], "mono": first.mono,
        "depth_bits": first.depth_bits, "pages": first.pages, "sha256": digest, "bytes": check_file(path),
        **step_changes.facts(item.recipe, values), **mark.result_facts(),
    }  # fmt: skip
    notes = [*(note for page in page_records for note in page.notes), *step_changes.notes(item.recipe, values)]
    scores = scoring.summarize(values)
    frame_gates = gates.of_frames(item.recipe.gates)
    said = (*notes, *losses, *scoring.notes(values, scores), *gates.notes(frame_gates, values, scores))
    notes = list(dict.fromkeys(said))
    below = gates.below_gates(frame_gates, values, scores)
    return ItemResult(outputs=outputs, scores=scores, facts=facts, notes=tuple(notes), below_gates=below)


def _write_still(
    path: Path, first: stills.Photo, item: ItemView, pages: Iterator[stills.Photo], bench: Workbench
) -> tuple[Path, tuple[str, ...]]:
    """Write a still's pages and what its file carries beside them; returns the file, and notes on what was lost."""
    if first.kind == "jpeg" and not (
        item.recipe.has_effect or first.turned or first.notes or item.source.accept_damaged
    ):
        # Encoding a JPEG again loses, and here there is no reason to; its page is restored for the scores alone.
        deque(pages, maxlen=0)
        return Path(shutil.copyfile(path, bench.scratch / "still.jpg")), ()
    target, losses = stills.write_pages(pages, bench.scratch / "still")
    more = first.pages - stills.pages_to_read(first)
    left_out = (f"{more} more pages of the file were left out.",) if more else ()
    return target, left_out + losses + still_metadata.copy_metadata(path, target)


@dataclass(frozen=True)
class _Page:
    """What is known of a restored page of a still; the page itself is written and gone."""

    values: dict[str, NDArray[np.float64]]
    """Scores and changes, a value each."""
    notes: tuple[str, ...]
    is_colored: bool
    """Whether it had colours of its own."""
    masks: dict[str, Blob]
    """What was repaired, where the recipe asks for it."""


def _restore_page(photo: stills.Photo, number: int, item: ItemView, bench: Workbench) -> tuple[stills.Photo, _Page]:
    """Restore one page of a still, counted from 0, by itself."""
    height, width = photo.samples.shape[:2]
    shape = work_size.PictureShape(width, height, photo.mono)
    work_size.check(item.recipe, shape, bench.settings, f"{item.source.uri}, page {number + 1}")
    if item.source.transfer:
        photo = replace(photo, transfer=item.source.transfer)
    frames = _to_tensor(stills.to_picture(photo)[None], bench)
    mask = given_mask.read_still_mask(item.source, (frames.shape[-2], frames.shape[-1]), bench)
    source = Clip(frames, 0, (0,), None if mask is None else _to_tensor(mask[None, None], bench))
    is_colored = stills.color_spread(photo) > COLOR_SPREAD
    fields = {"already_colored": is_colored, "boxes": item.source.boxes, "wide": photo.transfer != "gamma"}
    context = stages.context_of(source, item.recipe.steps, **fields)
    recorder = step_changes.ChangeRecorder(item.recipe, photo.depth_bits)
    clip, masks, notes = _apply_steps(item.recipe, source, context, recorder, bench)
    output = stills.with_picture(photo, clip.frames[0].cpu().numpy())
    values = scoring.score(clip, source) | recorder.values()
    outputs = repair_masks.write_still(masks, item.recipe, number, bench)
    return output, _Page(values, (*photo.notes, *stages.notes(item.recipe, is_colored), *notes), is_colored, outputs)


def touch_frames(assignment: Assignment, bench: Workbench) -> Iterator[int]:
    """Read and restore one frame after the other, to find the one that kills the process.

    Yields:
        The frame that is touched next; handles are among them. The picture that comes out is thrown away.
    """
    item, span = assignment.reel, (assignment.start_frame, assignment.stop_frame)
    source_reel = reel.open_reel(item, bench)
    context = reel_context(source_reel, item)
    first, last = step_spans(item, span)[0]
    for number in range(first, last):
        yield source_reel.source_frame(number) if source_reel.source_frame(number) >= 0 else number
        clip = next(_read_cells(source_reel, (number, number + 1), 1, bench)).clip
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
    source_reel: reel.IndexedReel, item: ItemView, span: Span, recorder: step_changes.ChangeRecorder,
    masks: repair_masks.MaskChunks, bench: Workbench,
) -> Iterator[tuple[Clip, _SourceCell]]:  # fmt: skip
    """Restore cell by cell; yields each cell restored and as it came in."""
    profile = index.unpack(bench.store.read(item.profile)) if item.profile else None
    context, input_spans = reel_context(source_reel, item, profile), step_spans(item, span)
    originals: deque[_SourceCell] = deque()

    def keep_originals(cells: Iterator[_SourceCell]) -> Iterator[Clip]:
        for cell in cells:
            if span[0] <= cell.clip.start < span[1]:
                originals.append(cell)
            yield cell.clip

    with background.read_ahead(_read_cells(source_reel, input_spans[0], item.batch_frames, bench), 1) as sources:
        cells = keep_originals(sources)
        for number, (step, target) in enumerate(zip(item.recipe.steps, input_spans[1:], strict=True)):

            def note(before: Clip, after: torch.Tensor, mask: torch.Tensor | None, number: int = number) -> None:
                if span[0] <= before.start < span[1]:  # not the handles: they are written, and counted, elsewhere
                    recorder.add(number, before.frames, after, mask)
                    masks.add(number, mask)

            cells = _apply_step(step, cells, target, item.batch_frames, context, note, bench)
        for cell in cells:
            yield cell, originals.popleft()


@dataclass(frozen=True)
class _SourceCell:
    """Frames of a cell as they came in."""

    clip: Clip
    shown: tuple[ShownFrame, ...]


def _read_cells(source_reel: reel.IndexedReel, span: Span, cell_frames: int, bench: Workbench) -> Iterator[_SourceCell]:
    """Decode cell by cell."""
    incoming = reel.read_frames(source_reel, *span)
    masks = given_mask.read_masks(source_reel.mask, span)
    for start in range(span[0], span[1], cell_frames):
        count = min(start + cell_frames, span[1]) - start
        shown = []
        for frame in islice(incoming, count):
            shown.append(frame)
            bench.advance()
        frames = _to_tensor(np.stack([frame.picture for frame in shown]), bench)
        mask = _to_tensor(np.stack(list(islice(masks, count)))[:, None], bench) if masks else None
        yield _SourceCell(Clip(frames, start, tuple(frame.source for frame in shown), mask), tuple(shown))


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


def _apply_steps(
    recipe: Recipe, source: Clip, context: Reel, recorder: step_changes.ChangeRecorder, bench: Workbench
) -> tuple[Clip, dict[int, torch.Tensor], list[str]]:
    """Apply all steps to a still; returns it restored, the masks of the steps that repair, and notes on places."""
    notes: list[str] = []
    clip, masks = source, {}
    for number, step in enumerate(recipe.steps):
        frames, mask = stages.repair(step, clip, 0, 1, context, bench)
        before, clip = clip, clip.with_frames(frames)
        recorder.add(number, before.frames, frames, mask)
        if mask is not None:
            masks[number] = mask
        notes += step_changes.place_notes(step, before.frames, frames, mask)
        bench.advance()
    return clip, masks, notes


def _to_picture(frame: torch.Tensor, layout: Layout) -> Picture:
    """Return a restored frame as a picture with the layout's channels; grey is spread where the reel has colour."""
    if frame.shape[0] > layout.channels:
        raise WorkError(
            f"A step made {frame.shape[0]} channels of a grey reel and does not say so", code="WORKER_FAULT"
        )
    return frame.expand(layout.channels, -1, -1).cpu().numpy()


def _to_samples(picture: Picture, shown: ShownFrame, layout: Layout, source: Layout) -> Planes:
    """Return a master's samples: the source's own where nothing changed and the layout is the source's."""
    if shown.samples is None or layout != source or layout.model != "yuv":
        return to_planes(picture, layout)
    return change_planes(shown.samples, shown.picture, picture, layout)


def _to_tensor(frames: NDArray[Any], bench: Workbench) -> torch.Tensor:
    return torch.from_numpy(frames).to(bench.device)
