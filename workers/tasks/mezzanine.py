"""Mezzanines: lossless copies of reels whose every frame can be read by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from db.catalog.stages.steadiness import DeinterlaceParams
from db.errors import InputError
from db.records import ItemView, ReelFacts
from workers import background
from workers.media import planes, timecode
from workers.media.film import container, ffv1, fields
from workers.media.index import Index, ReelScan
from workers.media.pixels import Planes
from workers.media.reel import IndexedReel, layout_of, read_samples, seeks_exactly
from workers.media.remote import Place
from workers.tasks import disk_space
from workers.workbench import Workbench

WHOLE_ALREADY = "deinterlace found no frames that are woven of fields, and left the reel as it is."


def make_readable(
    scan: ReelScan,
    facts: ReelFacts,
    path: Place,
    item: ItemView,
    step: DeinterlaceParams | None,
    bench: Workbench,
) -> ReelFacts:
    """Copy a film losslessly where not every frame that is wanted of it can be read from it by itself.

    So it is with films that cannot be sought exactly, with spans of films, and where whole frames are made of fields.

    Args:
        scan: What looking the film through brought to light.
        facts: Of the whole film.
        path: The film.
        item: With span and recipe.
        step: What the recipe says of fields; none when it leaves them alone.
        bench: Where the copy goes.

    Returns:
        The reel's facts: with the copy and its index, where one was made.

    Raises:
        InputError: ``BAD_VALUE`` for a span that leaves the film, ``NO_SPACE``, ``CORRUPT`` when no frame is left.
    """
    reel, span = _reel(scan.index, facts, path, item, bench), item.source.span
    if span is not None and span[1] > len(scan.index):
        raise InputError(
            f"{item.source.uri}: the span {span[0]}-{span[1] - 1} leaves the film, which has {len(scan.index)} frames"
        )
    start, stop = span or (0, len(scan.index))
    weave = _analyze_fields(reel, scan, start, stop, step, bench)
    if step is not None and weave is None:
        facts = facts.model_copy(update={"notes": (*facts.notes, WHOLE_ALREADY), "field_order": ""})
    frame_bytes = disk_space.sample_frame_bytes(read_samples(reel), reel.layout, facts, bench)
    if weave is None and span is None and not scan.damage and scan.seekable and seeks_exactly(reel):
        disk_space.require_for_reel(item, facts, frame_bytes, bench)
        return facts
    disk_space.require_for_copy(stop - start, frame_bytes, bench)
    code = facts.timecode
    if start and not item.source.timecode:
        code = timecode.add_frames(code, start, facts.rate)
    facts = facts.model_copy(update={"timecode": code})
    frames: Iterable[Planes] = islice(read_samples(reel), start, stop)
    if weave is None or step is None:
        index, copy = _write_copy(frames, scan, reel, bench)
        index = replace(index, pts=scan.index.pts[start:stop], time_base=scan.index.time_base)
        facts = facts.model_copy(update={"frame_count": len(index)})
    else:
        rate = weave.rate(facts.rate, double=step.double_rate)
        index, copy = _write_copy(
            fields.deinterlace(frames, reel.layout, weave, double=step.double_rate), scan, reel, bench
        )
        index = _retime_evenly(index, scan.index, start, rate)
        facts = _progressive_facts(facts, weave.describe(stop - start, len(index)), len(index), rate)
    facts = facts.model_copy(update={"index": bench.put_bytes("index-mezzanine.npz", index.dumps())})
    facts = facts.model_copy(update={"mezzanine": bench.put("mezzanine.mkv", copy)})
    copy.unlink()
    disk_space.require_for_reel(item, facts, frame_bytes, bench)
    return facts


def require_room(scan: ReelScan, facts: ReelFacts, path: Place, item: ItemView, bench: Workbench) -> None:
    """Make sure that a film of which no copy is made can be finished; raises ``InputError`` ``NO_SPACE``."""
    reel = _reel(scan.index, facts, path, item, bench)
    disk_space.require_for_reel(
        item, facts, disk_space.sample_frame_bytes(read_samples(reel), reel.layout, facts, bench), bench
    )


def _progressive_facts(facts: ReelFacts, summary: str, count: int, rate: Fraction) -> ReelFacts:
    """Return a reel's facts once its frames are whole, ``count`` of them at an even ``rate``."""
    code = timecode.convert_rate(facts.timecode, facts.rate, rate)
    return facts.model_copy(
        update={
            "frame_count": count, "rate": rate, "deinterlaced": summary, "field_order": "", "variable_rate": False,
            "timecode": code,
        }
    )  # fmt: skip


def _analyze_fields(
    reel: IndexedReel, scan: ReelScan, start: int, stop: int, step: DeinterlaceParams | None, bench: Workbench
) -> fields.Weave | None:
    """Look at every frame's fields; none when they are to be left alone."""
    if step is None:
        return None
    analysis = fields.FieldAnalysis(reel.layout, scan.field_order if step.field_order == "auto" else step.field_order)
    for samples in islice(read_samples(reel), start, stop):
        analysis.add(tuple(plane.copy() for plane in samples))
        bench.advance()
    return analysis.weave(step)


def _write_copy(frames: Iterable[Planes], scan: ReelScan, reel: IndexedReel, bench: Workbench) -> tuple[Index, Path]:
    """Write frames into a film whose every frame can be read by itself, and index them.

    Samples are kept as they are, so the hashes of frames that were not touched are those of the source.
    """
    copy, digests = bench.scratch / "mezzanine.mkv", []
    rate = Fraction(1000, ffv1.MEZZANINE_TICK_MS)
    with (
        background.open_crew(container.LONE_THREADS, container.LONE_THREADS) as crew,
        ffv1.open_writer(copy, reel.layout, scan.size, rate, reel.facts, crew) as write,
    ):
        for samples in frames:
            digests.append(planes.digest(samples))
            write(samples)
            bench.advance()
    count = len(digests)
    if not count:
        raise InputError(f"{copy.name}: no frame is left of the reel", code="CORRUPT")
    numbers = np.arange(count, dtype=np.int64)
    return Index(numbers, 1 / scan.rate, np.ones(count, bool), np.stack(digests), numbers), copy


def _retime_evenly(index: Index, source: Index, start: int, rate: Fraction) -> Index:
    """Return the index with times that begin where the source's frame ``start`` does and go on at an even rate."""
    begins = int(source.pts[start]) * source.time_base
    base = Fraction(
        math.gcd(begins.numerator * rate.numerator, rate.denominator * begins.denominator),
        begins.denominator * rate.numerator,
    )
    pts = [int((begins + number / rate) / base) for number in range(len(index))]
    return replace(index, pts=np.array(pts, np.int64), time_base=base)


def _reel(index: Index, facts: ReelFacts, path: Place, item: ItemView, bench: Workbench) -> IndexedReel:
    return IndexedReel(path, item.source, facts, index, layout_of(facts), bench.settings, {})
