"""Probes a reel: fixity, facts, and an index of every frame. ``workers.attempt`` calls it.

The whole source is streamed for its digest and decoded once. Whatever is wrong with it is said here, before work is
spent; a source that cannot be read exactly at any frame gets a lossless copy that can.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from db.errors import InputError
from db.records import Assignment, Blob, Item, ReelFacts, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind
from workers.media import container, ffv1, planes, sequence, stills, survey
from workers.media.index import Index
from workers.media.pixels import COLOUR_SPREAD
from workers.media.reel import Reel, layout_of, seeks_exactly, stored
from workers.media.source import check_file, find, fixity, local
from workers.workbench import Workbench


def probe(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Find out all that planning and restoring need to know about a reel.

    Raises:
        InputError: The source cannot be restored as it is; the code says why.
    """
    item = _item_of(assignment)
    path = local(item.source, bench)
    digest, size = _fixity(path, item.source, bench)
    look_through = survey.files if item.source.sequence else survey.film
    look = look_through(path, item.source, bench.settings, bench.moved)
    _judge(look, item.source)
    facts = _facts(look, digest, size, bench.put_bytes("index.npz", look.index.dumps()))
    if item.source.sequence is None and not _readable(look, facts, path, item, bench):
        facts = _with_mezzanine(look, facts, path, item, bench)
    outputs = {"index": facts.index} | ({"mezzanine": facts.mezzanine} if facts.mezzanine else {})
    return TaskResult(outputs=outputs, facts=facts, frames=len(look.index))


def describe(source: Source, settings: Settings) -> dict[str, Any]:
    """Return cheap facts from headers alone, for a dry run.

    Returns:
        ``kind``, ``width``, ``height``, ``frame_count`` (as the header has it), ``rate`` (as ``"16"`` or ``"50/3"``;
        none for a still), ``depth_bits``, ``mono``, ``bytes``.

    Raises:
        InputError: The source cannot be restored, so far as its header shows.
    """
    path = find(source)
    if source.sequence is not None:
        return _describe_sequence(path, source, settings)
    if source.kind is ItemKind.STILL:
        found = stills.header(path, settings)
        return _described(
            "still", found.width, found.height, 1, None, found.depth_bits, found.channels < 3, path.stat().st_size
        )
    with container.opened(path) as (opened, stream):
        coder = stream.codec_context
        survey.check_size(coder.width, coder.height, settings, str(path))
        header_rate = survey.header_rate(stream)
        count = stream.frames or round(Fraction(opened.duration or 0, 1_000_000) * header_rate)
        layout = planes.layout_of(coder.pix_fmt or "", full_range=True, matrix="unknown", lines=coder.height)
        mono = layout.model == "gray"
        return _described(
            "reel",
            coder.width,
            coder.height,
            count,
            source.fps or header_rate,
            layout.depth_bits,
            mono,
            path.stat().st_size,
        )


def _describe_sequence(folder: Path, source: Source, settings: Settings) -> dict[str, Any]:
    assert source.sequence is not None
    shown = sequence.shows(folder, source)
    there = [
        sequence.file_of(folder, source.sequence, number) for number in sorted({max(0, number) for number in shown})
    ]
    there = [path for path in there if path.exists()]
    found = stills.header(there[0], settings)
    rate = source.fps or sequence.dpx_rate_and_timecode(there[0])[0] or sequence.DEFAULT_RATE
    size = sum(check_file(path) for path in there)
    return _described("reel", found.width, found.height, len(shown), rate, found.depth_bits, found.channels < 3, size)


def _described(
    kind: str, width: int, height: int, count: int, rate: Fraction | None, depth: int, mono: bool, size: int
) -> dict[str, Any]:
    return {
        "kind": kind, "width": width, "height": height, "frame_count": count, "rate": str(rate) if rate else None,
        "depth_bits": depth, "mono": mono, "bytes": size,
    }  # fmt: skip


def _item_of(assignment: Assignment) -> Item:
    if assignment.item is None:
        raise InputError("A reel's task came without its item", code="BAD_VALUE")
    return assignment.item


def _fixity(path: Path, source: Source, bench: Workbench) -> tuple[str, int]:
    """Return the digest over the whole source and its size in bytes."""
    if source.sequence is None:
        return fixity([path], source.checksum, bench.moved), path.stat().st_size
    shown = sequence.shows(path, source)
    there = [sequence.file_of(path, source.sequence, number) for number in sorted({*shown}) if number >= 0]
    return fixity(there, source.checksum, bench.moved), sum(check_file(file) for file in there)


def _judge(look: survey.Look, source: Source) -> None:
    if look.damage and not source.accept_damaged:
        raise InputError(f"{source.uri}: {look.damage}", code="TRUNCATED" if look.truncated else "CORRUPT")
    if look.interlaced and not source.accept_interlaced:
        raise InputError(f"{source.uri}: {look.interlaced}", code="INTERLACED")


def _facts(look: survey.Look, digest: str, size_bytes: int, index: Blob) -> ReelFacts:
    sideways = look.rotation_degrees in {90, 270}
    height, width = look.size[::-1] if sideways else look.size
    return ReelFacts(
        frame_count=len(look.index),
        rate=look.rate,
        width=width,
        height=height,
        depth_bits=look.layout.depth_bits,
        pixel_format=look.pixel_format,
        mono=look.layout.model == "gray",
        color_range="full" if look.layout.full_range else "limited",
        sample_aspect=1 / look.sample_aspect if sideways else look.sample_aspect,
        rotation_degrees=look.rotation_degrees,
        variable_rate=look.variable_rate,
        audio=look.audio,
        timecode=look.timecode,
        bytes=size_bytes,
        sha256=digest,
        index=index,
        damaged=look.damage,
        already_colour=look.colour > COLOUR_SPREAD,
        **look.tags,
    )


def _readable(look: survey.Look, facts: ReelFacts, path: Path, item: Item, bench: Workbench) -> bool:
    return not look.damage and look.seekable and seeks_exactly(_reel(look.index, facts, path, item, bench))


def _with_mezzanine(look: survey.Look, facts: ReelFacts, path: Path, item: Item, bench: Workbench) -> ReelFacts:
    """Copy the reel losslessly, in order, into a film whose every frame can be read by itself.

    Samples are kept as they are, so the index's hashes hold for the copy too; every frame of it is a keyframe.
    """
    copy = bench.scratch / "mezzanine.mkv"
    layout = layout_of(facts)
    rate = Fraction(1000, ffv1.MEZZANINE_TICK_MS)
    with ffv1.film(copy, layout, look.size, rate, facts, container.LONE_THREADS) as write:
        for samples in stored(_reel(look.index, facts, path, item, bench)):
            write(samples)
            bench.moved()
    index = Index(look.index.pts, look.index.time_base, look.index.shows >= 0, look.index.digest, look.index.shows)
    blobs = {
        "index": bench.put_bytes("index-mezzanine.npz", index.dumps()),
        "mezzanine": bench.put("mezzanine.mkv", copy),
    }
    copy.unlink()
    return facts.model_copy(update=blobs)


def _reel(index: Index, facts: ReelFacts, path: Path, item: Item, bench: Workbench) -> Reel:
    return Reel(path, item.source, facts, index, layout_of(facts), bench.settings, {})
