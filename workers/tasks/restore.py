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
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import InputError, WorkError
from db.recipe import Recipe, Step
from db.records import Assignment, Item, ItemResult, TaskResult
from workers import background, metrics, stages
from workers.frames import Clip, Reel
from workers.media import index, reel
from workers.media.film import ffv1
from workers.media.pixels import COLOUR_SPREAD, WEIGHTS, Layout, Picture, to_planes
from workers.media.sequences import write as sequence_write
from workers.media.source import check_file, fixity, local
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.media.stills import xmp
from workers.ops import exposure, luma
from workers.tasks import ai_marking, step_changes
from workers.workbench import Workbench

Span = tuple[int, int]
"""Half-open range of absolute frame numbers."""
Note = Callable[[Clip, torch.Tensor], None]
"""Told the frames of a cell before a step and after it."""


def restore_segment(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Restore the frames ``[start_frame, stop_frame)`` of a reel.

    Returns:
        ``chunk``, a lossless film of these frames alone, and ``scores``, their values by metric name (npz); of an
        image sequence, where its recipe asks for it, ``sequence``, a tar file of the written files.

    Raises:
        InputError: The source cannot be read, or is not the one that was probed.
        OutOfMemoryError: The machine was too small for the batch.
    """
    item, span = _item_of(assignment), (assignment.start_frame, assignment.stop_frame)
    opened = reel.open_reel(item, bench)
    assert item.facts is not None
    path = bench.scratch / "chunk.mkv"
    layout, size = ffv1.master_layout(opened.layout, item.recipe), ffv1.master_size(item.facts, item.recipe)
    archive = bench.scratch / "sequence.tar" if sequence_write.is_wanted(item) else None
    values: list[dict[str, NDArray[np.float64]]] = []
    changed = step_changes.Recorder(item.recipe, item.facts.depth_bits)
    with ExitStack() as stack:
        threads = max(1, bench.settings.codec_threads)
        write = stack.enter_context(ffv1.film(path, layout, size, item.facts.rate, item.facts, threads))
        keep = stack.enter_context(_sequence(archive, opened, item, bench)) if archive else None

        def encode(numbered: tuple[int, Picture]) -> None:
            number, picture = numbered
            write(to_planes(picture, layout))
            if keep:
                keep(number, picture)
            bench.moved(1)

        with background.behind(encode, item.batch_frames) as put:
            for restored, source in _restored(opened, item, span, changed, bench):
                values.append(metrics.score(restored, source))
                for number, frame in enumerate(restored.frames, restored.start):
                    put((number, _picture(frame, layout)))
                bench.moved()
    joined = {name: np.concatenate([part[name] for part in values]) for name in values[0]} | changed.values()
    outputs = {"chunk": bench.put("chunk.mkv", path), "scores": bench.put_bytes("scores.npz", index.pack(**joined))}
    if archive:
        outputs["sequence"] = bench.put("sequence.tar", archive)
    return TaskResult(outputs=outputs, frames=span[1] - span[0])


def restore_still(item: Item, bench: Workbench) -> ItemResult:
    """Check, restore and write one still, in its own format and depth where that can be done.

    Raises:
        InputError: The photo cannot be read, or is not the one that the manifest names.
        OutOfMemoryError: The machine was too small for it.
    """
    path = local(item.source, bench)
    stills.header(path, bench.settings)
    digest = fixity([path], item.source.checksum, bench.moved, size_bytes=item.source.bytes)
    first = stills.read(path, bench.settings, accept_damaged=item.source.accept_damaged)
    bench.moved()
    done: list[_Page] = []

    def pages() -> Iterator[stills.Photo]:
        for photo in stills.pages_of(path, first, bench.settings, accept_damaged=item.source.accept_damaged):
            made, page = _page(photo, item, bench)
            done.append(page)
            bench.moved()
            yield made

    written, lost = _written(path, first, item, pages(), bench)
    mark = ai_marking.of(item.recipe, all(page.coloured for page in done))
    lost += xmp.carry(path, written, mark.xmp())
    bench.moved(1)
    values = {name: np.concatenate([page.values[name] for page in done]) for name in done[0].values}
    outputs = {"still": bench.put(written.name, written), "scores": bench.put_bytes("scores.npz", index.pack(**values))}
    facts = {
        "kind": first.kind, "width": first.samples.shape[1], "height": first.samples.shape[0], "mono": first.mono,
        "depth_bits": first.depth_bits, "pages": first.pages, "sha256": digest, "bytes": check_file(path),
        **step_changes.facts(item.recipe, values), **mark.facts(),
    }  # fmt: skip
    notes = [note for page in done for note in page.notes]
    if len(done) < first.pages:
        notes.append(f"{first.pages - len(done)} more pages of the file were left out.")
    notes = list(dict.fromkeys((*notes, *lost)))
    return ItemResult(outputs=outputs, scores=metrics.summarize(values), facts=facts, notes=tuple(notes))


def _written(
    path: Path, first: stills.Photo, item: Item, pages: Iterator[stills.Photo], bench: Workbench
) -> tuple[Path, tuple[str, ...]]:
    """Write a still's pages and what its file carries beside them; returns the file, and notes on what was lost."""
    if first.kind == "jpeg" and not (
        item.recipe.has_effect or first.turned or first.notes or item.source.accept_damaged
    ):
        # Encoding a JPEG again loses, and here there is no reason to; its page is restored for the scores alone.
        deque(pages, maxlen=0)
        return Path(shutil.copyfile(path, bench.scratch / "still.jpg")), ()
    written, lost = stills.write_pages(pages, bench.scratch / "still")
    return written, lost + still_metadata.carry(path, written)


@dataclass(frozen=True)
class _Page:
    """What is known of a restored page of a still; the page itself is written and gone."""

    values: dict[str, NDArray[np.float64]]
    """Scores and changes, a value each."""
    notes: tuple[str, ...]
    coloured: bool
    """Whether it had colours of its own."""


def _page(photo: stills.Photo, item: Item, bench: Workbench) -> tuple[stills.Photo, _Page]:
    """Restore one page of a still by itself."""
    if item.source.transfer:
        photo = replace(photo, transfer=item.source.transfer)
    source = Clip(_tensor(stills.to_picture(photo)[None], bench), 0, (0,))
    coloured = stills.colour_spread(photo) > COLOUR_SPREAD
    known = {"already_coloured": coloured, "boxes": item.source.boxes, "wide": photo.transfer != "gamma"}
    around = stages.around_still(source, item.recipe.steps, **known)
    changed = step_changes.Recorder(item.recipe, photo.depth_bits)
    restored = _still_steps(item.recipe, source, around, changed, bench)
    made = stills.with_picture(photo, restored.frames[0].cpu().numpy())
    values = metrics.score(restored, source) | changed.values()
    return made, _Page(values, (*photo.notes, *stages.notes(item.recipe, coloured)), coloured)


def touch_frames(assignment: Assignment, bench: Workbench) -> Iterator[int]:
    """Read and restore one frame after the other, to find the one that kills the process.

    Yields:
        The frame that is touched next; handles are among them. The picture that comes out is thrown away.
    """
    item, span = _item_of(assignment), (assignment.start_frame, assignment.stop_frame)
    opened = reel.open_reel(item, bench)
    around = seen_by(opened, item)
    first, last = spans(item, span)[0]
    for number in range(first, last):
        yield opened.shown(number) if opened.shown(number) >= 0 else number
        clip = next(_read(opened, (number, number + 1), 1, bench))
        # A shot of its own: then no stage looks for frames beside it.
        alone = replace(around, shots=((number, number + 1),))
        for step in item.recipe.steps:
            clip = clip.with_frames(stages.apply(step, clip, number, number + 1, alone, bench))


def spans(item: Item, span: Span) -> list[Span]:
    """Return which frames each step must be given, in order, and at last the span itself: handles in whole cells."""
    assert item.facts is not None
    cell, count = item.batch_frames, item.facts.frame_count
    found = [span]
    for step in reversed(item.recipe.steps):
        start, stop, radius = *found[0], stages.temporal_radius(step)
        found.insert(0, (max(0, start - radius) // cell * cell, min(count, -(-(stop + radius) // cell) * cell)))
    return found


def seen_by(opened: reel.Reel, item: Item, profile: dict[str, NDArray[np.float64]] | None = None) -> Reel:
    """Return what stages may know about a reel."""
    count = opened.facts.frame_count
    shots = exposure.shots(profile) if profile else ((0, count),)
    facts, boxes = opened.facts, opened.source.boxes
    return Reel(
        count, facts.rate, shots, profile or {}, facts.mono, item.batch_frames, facts.already_colour, boxes,
        opened.layout.transfer != "gamma", WEIGHTS.get(opened.layout.matrix, luma.BT601),
    )  # fmt: skip


def _sequence(
    path: Path, opened: reel.Reel, item: Item, bench: Workbench
) -> AbstractContextManager[sequence_write.Write]:
    mark = ai_marking.of(item.recipe, opened.facts.already_colour, opened.facts.frame_count)
    return sequence_write.archive(path, opened, item, bench.scratch, mark.xmp())


def _restored(
    opened: reel.Reel, item: Item, span: Span, changed: step_changes.Recorder, bench: Workbench
) -> Iterator[tuple[Clip, Clip]]:
    """Restore cell by cell; yields each cell restored and as it came in."""
    profile = index.unpack(bench.store.read(item.profile)) if item.profile else None
    around, needed = seen_by(opened, item, profile), spans(item, span)
    originals: deque[Clip] = deque()

    def remembered(cells: Iterator[Clip]) -> Iterator[Clip]:
        for cell in cells:
            if span[0] <= cell.start < span[1]:
                originals.append(cell)
            yield cell

    with background.ahead(_read(opened, needed[0], item.batch_frames, bench), 1) as decoded:
        cells = remembered(decoded)
        for number, (step, wanted) in enumerate(zip(item.recipe.steps, needed[1:], strict=True)):

            def note(before: Clip, after: torch.Tensor, number: int = number) -> None:
                if span[0] <= before.start < span[1]:  # not the handles: they are written, and counted, elsewhere
                    changed.add(number, before.frames, after)

            cells = _stepped(step, cells, wanted, item.batch_frames, around, note, bench)
        for cell in cells:
            yield cell, originals.popleft()


def _read(opened: reel.Reel, span: Span, cell_frames: int, bench: Workbench) -> Iterator[Clip]:
    """Decode cell by cell."""
    pictures = reel.pictures(opened, *span)
    for start in range(span[0], span[1], cell_frames):
        stop = min(start + cell_frames, span[1])
        frames = np.empty((stop - start, opened.layout.channels, *opened.size), np.float32)
        sources = []
        for row in frames:
            source, row[:] = next(pictures)
            sources.append(source)
            bench.moved()
        yield Clip(_tensor(frames, bench), start, tuple(sources))


def _stepped(
    step: Step, cells: Iterator[Clip], wanted: Span, cell_frames: int, around: Reel, note: Note, bench: Workbench
) -> Iterator[Clip]:
    """Apply one step to every cell of ``wanted``, with a window of exactly its temporal radius."""
    radius, window = stages.temporal_radius(step), None
    for start in range(wanted[0], wanted[1], cell_frames):
        stop = min(start + cell_frames, wanted[1])
        low, high = max(0, start - radius), min(around.frame_count, stop + radius)
        window = window.part(max(low, window.start), window.stop) if window else None
        while window is None or window.stop < high:
            cell = next(cells)
            window = _joined(window, cell) if window and window.stop > low else cell
        seen = window.part(low, high)
        before = seen.part(start, stop)
        after = stages.apply(step, seen, start, stop, around, bench)
        note(before, after)
        yield before.with_frames(after)


def _joined(first: Clip, second: Clip) -> Clip:
    channels = max(first.frames.shape[1], second.frames.shape[1])
    frames = torch.cat([clip.frames.expand(-1, channels, -1, -1) for clip in (first, second)])
    return Clip(frames, first.start, first.sources + second.sources)


def _still_steps(recipe: Recipe, source: Clip, around: Reel, changed: step_changes.Recorder, bench: Workbench) -> Clip:
    clip = source
    for number, step in enumerate(recipe.steps):
        before, clip = clip, clip.with_frames(stages.apply(step, clip, 0, 1, around, bench))
        changed.add(number, before.frames, clip.frames)
        bench.moved()
    return clip


def _picture(frame: torch.Tensor, layout: Layout) -> Picture:
    """Return a restored frame as a picture with the layout's channels; grey is spread where the reel has colour."""
    if frame.shape[0] > layout.channels:
        raise WorkError(
            f"A step made {frame.shape[0]} channels of a grey reel and does not say so", code="WORKER_FAULT"
        )
    return frame.expand(layout.channels, -1, -1).cpu().numpy()


def _tensor(frames: NDArray[np.float32], bench: Workbench) -> torch.Tensor:
    return torch.from_numpy(frames).to(bench.device)


def _item_of(assignment: Assignment) -> Item:
    if assignment.item is None:
        raise InputError("A reel's task came without its item", code="BAD_VALUE")
    return assignment.item
