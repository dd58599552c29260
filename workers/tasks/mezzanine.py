"""Mezzanines: lossless copies of reels whose every frame can be read by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from db.catalog.stages import DeinterlaceParams
from db.errors import InputError
from db.records import Item, ReelFacts
from workers.media import planes, timecode
from workers.media.film import container, ffv1, fields
from workers.media.film import scan as film_scan
from workers.media.index import Index
from workers.media.pixels import Planes
from workers.media.reel import Reel, layout_of, seeks_exactly, stored
from workers.media.remote import Place
from workers.tasks import disk_space
from workers.workbench import Workbench

WHOLE_ALREADY = "deinterlace found no frames that are woven of fields, and left the reel as it is."


def made_readable(
    look: film_scan.Look, facts: ReelFacts, path: Place, item: Item, step: DeinterlaceParams | None, bench: Workbench
) -> ReelFacts:
    """Copy a film losslessly where not every frame that is wanted of it can be read from it by itself.

    So it is with films that cannot be sought exactly, with spans of films, and where whole frames are made of fields.

    Args:
        look: What looking the film through brought to light.
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
    reel, span = _reel(look.index, facts, path, item, bench), item.source.span
    if span is not None and span[1] > len(look.index):
        raise InputError(
            f"{item.source.uri}: the span {span[0]}-{span[1] - 1} leaves the film, which has {len(look.index)} frames"
        )
    start, stop = span or (0, len(look.index))
    weave = _weave(reel, look, start, stop, step, bench)
    if step is not None and weave is None:
        facts = facts.model_copy(update={"notes": (*facts.notes, WHOLE_ALREADY), "field_order": ""})
    a_frame = disk_space.frame_bytes(stored(reel), reel.layout, facts, bench)
    if weave is None and span is None and not look.damage and look.seekable and seeks_exactly(reel):
        disk_space.claim_for_reel(item, facts, a_frame, bench)
        return facts
    disk_space.claim_for_copy(stop - start, a_frame, bench)
    code = facts.timecode
    if start and not item.source.timecode:
        code = timecode.advanced(code, start, facts.rate)
    facts = facts.model_copy(update={"timecode": code})
    frames: Iterable[Planes] = islice(stored(reel), start, stop)
    if weave is None or step is None:
        index, copy = _copied(frames, look, reel, bench)
        index = replace(index, pts=look.index.pts[start:stop], time_base=look.index.time_base)
        facts = facts.model_copy(update={"frame_count": len(index)})
    else:
        rate = weave.rate(facts.rate, double=step.double_rate)
        index, copy = _copied(fields.whole(frames, reel.layout, weave, double=step.double_rate), look, reel, bench)
        index = _evenly(index, look.index, start, rate)
        facts = _of_whole_frames(facts, weave.says(stop - start, len(index)), len(index), rate)
    facts = facts.model_copy(update={"index": bench.put_bytes("index-mezzanine.npz", index.dumps())})
    facts = facts.model_copy(update={"mezzanine": bench.put("mezzanine.mkv", copy)})
    copy.unlink()
    disk_space.claim_for_reel(item, facts, a_frame, bench)
    return facts


def _of_whole_frames(facts: ReelFacts, said: str, count: int, rate: Fraction) -> ReelFacts:
    """Return a reel's facts once its frames are whole, ``count`` of them at an even ``rate``."""
    code = timecode.at_rate(facts.timecode, facts.rate, rate)
    return facts.model_copy(
        update={
            "frame_count": count, "rate": rate, "deinterlaced": said, "field_order": "", "variable_rate": False,
            "timecode": code,
        }
    )  # fmt: skip


def _weave(
    reel: Reel, look: film_scan.Look, start: int, stop: int, step: DeinterlaceParams | None, bench: Workbench
) -> fields.Weave | None:
    """Look at every frame's fields; none when they are to be left alone."""
    if step is None:
        return None
    watch = fields.Watch(reel.layout, look.field_order if step.field_order == "auto" else step.field_order)
    for samples in islice(stored(reel), start, stop):
        watch.add(tuple(plane.copy() for plane in samples))
        bench.moved()
    return watch.weave(step)


def _copied(frames: Iterable[Planes], look: film_scan.Look, reel: Reel, bench: Workbench) -> tuple[Index, Path]:
    """Write frames into a film whose every frame can be read by itself, and index them.

    Samples are kept as they are, so the hashes of frames that were not touched are those of the source.
    """
    copy, digests = bench.scratch / "mezzanine.mkv", []
    rate = Fraction(1000, ffv1.MEZZANINE_TICK_MS)
    with ffv1.film(copy, reel.layout, look.size, rate, reel.facts, container.LONE_THREADS) as write:
        for samples in frames:
            digests.append(planes.digest(samples))
            write(samples)
            bench.moved()
    count = len(digests)
    if not count:
        raise InputError(f"{copy.name}: no frame is left of the reel", code="CORRUPT")
    numbers = np.arange(count, dtype=np.int64)
    return Index(numbers, 1 / look.rate, np.ones(count, bool), np.stack(digests), numbers), copy


def _evenly(index: Index, source: Index, start: int, rate: Fraction) -> Index:
    """Return the index with times that begin where the source's frame ``start`` does and go on at an even rate."""
    begins = int(source.pts[start]) * source.time_base
    base = Fraction(
        math.gcd(begins.numerator * rate.numerator, rate.denominator * begins.denominator),
        begins.denominator * rate.numerator,
    )
    pts = [int((begins + number / rate) / base) for number in range(len(index))]
    return replace(index, pts=np.array(pts, np.int64), time_base=base)


def _reel(index: Index, facts: ReelFacts, path: Place, item: Item, bench: Workbench) -> Reel:
    return Reel(path, item.source, facts, index, layout_of(facts), bench.settings, {})
