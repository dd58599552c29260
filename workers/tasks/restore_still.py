"""Restores one still, page by page."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from db.recipe import Recipe
from db.records import Blob, ItemResult, ItemView
from workers import stages
from workers.frames import Clip, Reel
from workers.media import given_mask, index
from workers.media.given_mask import Mask
from workers.media.pixels import COLOR_SPREAD
from workers.media.source import check_file, fixity, local_still
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.media.stills import xmp
from workers.tasks import ai_marking, gates, repair_masks, scoring, step_changes, still_strips, work_size
from workers.tasks.still_strips import RestoredStill
from workers.workbench import Workbench


def restore_still(item: ItemView, bench: Workbench) -> ItemResult:
    """Check, restore and write one still, in its own format and depth where that can be done.

    Raises:
        InputError: The photo cannot be read, or is not the one that the manifest names.
        OutOfMemoryError: The machine was too small for it.
    """
    path = local_still(item.source, bench.settings, bench.scratch, lambda count: bench.advance())
    head = stills.header(path, bench.settings)
    shape = work_size.PictureShape(head.width, head.height, head.channels < 3, is_marked=bool(item.source.mask))
    work_size.check(item.recipe, shape, bench.settings, item.source.uri)
    digest = fixity([path], item.source.checksum, bench.advance, size_bytes=item.source.bytes)
    first = stills.read(path, bench.settings, accept_damaged=item.source.accept_damaged, head=head)
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
    shape = work_size.PictureShape(width, height, photo.mono, is_marked=bool(item.source.mask))
    work_size.check(item.recipe, shape, bench.settings, f"{item.source.uri}, page {number + 1}")
    if item.source.transfer:
        photo = replace(photo, transfer=item.source.transfer)
    mask = given_mask.read_still_mask(item.source, (height, width), bench)
    # Steps ask, and what is said of steps; where none does anything nobody does, and it takes a sixth of the work.
    is_colored = item.recipe.has_effect and stills.color_spread(photo) > COLOR_SPREAD
    fields = {"already_colored": is_colored, "boxes": item.source.boxes, "wide": photo.transfer != "gamma"}
    notes: list[str] = []
    strips = still_strips.plan(item.recipe, mask is not None, (height, width))
    if strips is not None:
        restored = still_strips.restore(photo, mask, strips, stages.still_context(photo.mono, **fields), bench)
    else:
        restored, notes = _restore_whole(photo, mask, item.recipe, fields, bench)
    outputs = repair_masks.write_still(restored.masks, item.recipe, number, bench)
    said = (*photo.notes, *stages.notes(item.recipe, is_colored), *notes)
    return restored.photo, _Page(restored.values, said, is_colored, outputs)


def _restore_whole(
    photo: stills.Photo, mask: Mask | None, recipe: Recipe, fields: dict[str, Any], bench: Workbench
) -> tuple[RestoredStill, list[str]]:
    """Restore a page whose steps look at the whole picture; returns notes on places too."""
    frames = torch.from_numpy(stills.to_picture(photo)[None]).to(bench.device)
    given = None if mask is None else torch.from_numpy(mask[None, None]).to(bench.device)
    source = Clip(frames, 0, (0,), given)
    context = stages.context_of(source, recipe.steps, **fields)
    recorder = step_changes.ChangeRecorder(recipe, photo.depth_bits)
    clip, masks, notes = _apply_steps(recipe, source, context, recorder, bench)
    output = stills.with_picture(photo, clip.frames[0].cpu().numpy())
    return RestoredStill(output, scoring.score(clip, source) | recorder.values(), masks), notes


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
