"""Takes frames over from an earlier result of the same reel, packet by packet, where nothing of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from db.errors import WorkError
from db.records import Assignment, Blob, EarlierResult, ReelFacts, TaskResult
from workers.media import index, planes
from workers.media.errors import reading, writing
from workers.media.film import ffv1
from workers.media.film.ffv1 import BITEXACT
from workers.media.pixels import Layout
from workers.media.reel import layout_of
from workers.tasks import repair_masks, score_table
from workers.workbench import Workbench


def has_part(base: EarlierResult, start: int, stop: int) -> bool:
    """Whether any of the frames ``[start, stop)`` is done anew."""
    return start < base.frames[1] and stop > base.frames[0]


def take_over_segment(assignment: Assignment, base: EarlierResult, bench: Workbench) -> TaskResult:
    """Return the segment as ``restore.restore_segment`` does, made of the frames that a result before holds.

    Raises:
        InputError: ``BLOB_MISSING`` when that result is gone from the store.
        WorkError: It has not the frames that it should have.
    """
    item, span = assignment.reel, (assignment.start_frame, assignment.stop_frame)
    facts = item.facts
    assert facts is not None
    source = layout_of(facts)
    layout = ffv1.master_layout(source, (facts.height, facts.width), item.recipe)
    master = _Form(layout, ffv1.master_size(facts, item.recipe), facts)
    outputs = {"chunk": _take_over(base.outputs["master"], "chunk.mkv", span, master, bench)}
    for number, name in repair_masks.wanted_names(item.recipe).items():
        mask = _Form(repair_masks.LAYOUT, repair_masks.size_at(item, number), facts)
        outputs[name] = _take_over(base.outputs[name], f"{name}.mkv", span, mask, bench)
    scores = score_table.read(bench.store.read(base.outputs["scores"]), span)
    outputs["scores"] = bench.put_bytes("scores.npz", index.pack(**scores))
    bench.advance(span[1] - span[0])
    return TaskResult(outputs=outputs, frames=span[1] - span[0])


@dataclass(frozen=True)
class _Form:
    """What a film of ours is like."""

    layout: Layout
    size: tuple[int, int]
    """Height and width."""
    facts: ReelFacts


def _take_over(film: Blob, name: str, span: tuple[int, int], form: _Form, bench: Workbench) -> Blob:
    """Store a film of some frames of another one: their packets, which are coded each by itself.

    Where an earlier release coded them otherwise than their neighbours are now, they are coded again.
    """
    source, target = bench.fetch(film), bench.scratch / name
    with reading(source.name), av.open(str(source), "r", format="matroska") as opened:
        coder = ffv1.coder_of(opened.streams.video[0].codec_context.extradata, form.layout, form.size)
    take = _copy if coder == ffv1.suiting_coder(form.layout) else _encode_again
    count = take(source, target, span, form, bench)
    if count != span[1] - span[0]:
        raise WorkError(f"{film.name} has only {count} of the frames {span[0]} to {span[1] - 1}", code="WORKER_FAULT")
    return bench.put(name, target)


def _copy(source: Path, target: Path, span: tuple[int, int], form: _Form, bench: Workbench) -> int:
    count = 0
    with writing(target.name), av.open(str(target), "w", format="matroska", options=BITEXACT) as out:
        for packet, stream in _packets(source, span):
            if not out.streams:
                out.add_stream_from_template(stream)
            packet.stream, packet.time_base = out.streams.video[0], 1 / form.facts.rate
            packet.pts = packet.dts = count
            packet.duration = 1
            out.mux_one(packet)
            count += 1
            bench.advance()
    return count


def _encode_again(source: Path, target: Path, span: tuple[int, int], form: _Form, bench: Workbench) -> int:
    count = 0
    with ffv1.open_writer(target, form.layout, form.size, form.facts.rate, form.facts) as write:
        for packet, _ in _packets(source, span):
            for frame in packet.decode():
                write(planes.to_planes(frame, form.layout))
                count += 1
            bench.advance()
    return count


def _packets(path: Path, span: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    with reading(path.name), av.open(str(path), "r", format="matroska") as film:
        stream = film.streams.video[0]
        number = 0
        for packet in film.demux(stream):
            if not packet.size:
                continue
            if span[0] <= number < span[1]:
                yield packet, stream
            number += 1
            if number >= span[1]:
                return
