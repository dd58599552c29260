"""Takes frames over from an earlier result of the same reel, packet by packet, where nothing of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from db.errors import WorkError
from db.records import Assignment, Blob, EarlierResult, TaskResult
from workers.media import index
from workers.media.errors import reading, writing
from workers.media.film.ffv1 import BITEXACT
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
    assert item.facts is not None
    outputs = {"chunk": _copy(base.outputs["master"], "chunk.mkv", span, item.facts.rate, bench)}
    for name in repair_masks.wanted_names(item.recipe).values():
        outputs[name] = _copy(base.outputs[name], f"{name}.mkv", span, item.facts.rate, bench)
    scores = score_table.read(bench.store.read(base.outputs["scores"]), span)
    outputs["scores"] = bench.put_bytes("scores.npz", index.pack(**scores))
    bench.advance(span[1] - span[0])
    return TaskResult(outputs=outputs, frames=span[1] - span[0])


def _copy(film: Blob, name: str, span: tuple[int, int], rate: Fraction, bench: Workbench) -> Blob:
    """Store a film of the packets of some frames: they are coded each by itself, and stay as they are."""
    source, target = bench.fetch(film), bench.scratch / name
    count = 0
    with writing(name), av.open(str(target), "w", format="matroska", options=BITEXACT) as out:
        for packet, stream in _packets(source, span):
            if not out.streams:
                out.add_stream_from_template(stream)
            packet.stream, packet.time_base = out.streams.video[0], 1 / rate
            packet.pts = packet.dts = count
            packet.duration = 1
            out.mux_one(packet)
            count += 1
            bench.advance()
    if count != span[1] - span[0]:
        raise WorkError(f"{film.name} has only {count} of the frames {span[0]} to {span[1] - 1}", code="WORKER_FAULT")
    return bench.put(name, target)


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
