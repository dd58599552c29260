"""Probes a reel: fixity, facts, and an index of every frame.

The whole source is streamed for its digest and decoded once. Whatever is wrong with it is said here, before work is
spent; a source that cannot be read exactly at any frame gets a lossless copy that can.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from db import checksums
from db.catalog.stages import DeinterlaceParams
from db.errors import InputError
from db.records import Assignment, Blob, Item, ReelFacts, SoundFile, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind
from workers.media import planes
from workers.media.film import container, sound
from workers.media.film import scan as film_scan
from workers.media.pixels import COLOUR_SPREAD
from workers.media.remote import Folder, Place, bytes_in, file_in, folder_of, size_of
from workers.media.sequences import files as sequence
from workers.media.sequences import scan as sequence_scan
from workers.media.sequences import write as sequence_write
from workers.media.source import fetched, find, fixity, place, place_of_sound
from workers.media.stills import files as stills
from workers.tasks import disk_space, mezzanine
from workers.workbench import Workbench


def probe(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Find out all that planning and restoring need to know about a reel.

    Raises:
        InputError: The source cannot be restored as it is; the code says why.
    """
    item = _item_of(assignment)
    path = place(item.source, bench.settings, bench.scratch)
    digest, size = fixity_of(path, item.source, bench)
    if item.source.sequence is not None:
        look = sequence_scan.files(folder_of(path), item.source, bench.settings, bench.moved)
    else:
        look = film_scan.film(path, item.source, bench.settings, bench.moved)
    step = _deinterlacing(item)
    _judge(look, item.source, fields_wanted=step is not None)
    if item.source.transfer and not item.source.sequence:
        look.tags["transfer"] = _transfer(look.tags["transfer"], item.source)
    if step is not None and item.source.sequence:
        look.notes += ("deinterlace left the reel as it is: files of an image sequence are taken as whole frames.",)
    if sequence_write.is_wanted(item):
        first = int(np.flatnonzero(look.index.shows == np.arange(len(look.index)))[0])
        look.notes += sequence_write.check_writable(folder_of(path), item, first, bench.settings, bench.scratch)
    facts = _facts(look, item.source, digest, size, bench.put_bytes("index.npz", look.index.dumps()))
    if item.source.sequence is None:
        facts = mezzanine.made_readable(look, facts, path, item, step, bench)
    else:
        disk_space.claim_for_reel(item, facts, disk_space.raw_bytes(facts), bench)
    if item.source.sound:
        facts = _with_sound(facts, item.source, bench)
    outputs = {"index": facts.index} | ({"mezzanine": facts.mezzanine} if facts.mezzanine else {})
    return TaskResult(outputs=outputs, facts=facts, frames=facts.frame_count)


def describe(source: Source, settings: Settings, scratch: Path) -> dict[str, Any]:
    """Return cheap facts from headers alone, for a dry run.

    Args:
        source: A line's source.
        settings: For the limits.
        scratch: Where a photo in S3 may lie while its header is read.

    Returns:
        ``kind``, ``width``, ``height``, ``frame_count`` (as the header has it), ``rate`` (as ``"16"`` or ``"50/3"``;
        none for a still), ``header_rate`` (what the header says of it, if anything), ``depth_bits``, ``mono``,
        ``bytes``.

    Raises:
        InputError: The source cannot be restored, so far as its header shows.
    """
    if source.kind is ItemKind.STILL:
        photo = find(fetched(source, scratch, settings))
        found = stills.header(photo, settings)
        return _described(
            "still", found.width, found.height, 1, None, found.depth_bits, found.channels < 3, photo.stat().st_size
        )
    path = place(source, settings, scratch)
    if source.sequence is not None:
        return _describe_sequence(folder_of(path), source, settings)
    with container.opened(path) as (opened, stream):
        coder = stream.codec_context
        film_scan.check_size(coder.width, coder.height, settings, str(path))
        header_rate = film_scan.header_rate(stream)
        count = stream.frames or round(Fraction(opened.duration or 0, 1_000_000) * header_rate)
        if source.span is not None:
            count = source.span[1] - source.span[0]
        layout = planes.layout_of(coder.pix_fmt or "", full_range=True, matrix="unknown", lines=coder.height)
        mono = layout.model == "gray"
        described = _described(
            "reel",
            coder.width,
            coder.height,
            count,
            source.fps or header_rate,
            layout.depth_bits,
            mono,
            size_of(path),
        )
        return {**described, "header_rate": str(header_rate)}


def _describe_sequence(folder: Folder, source: Source, settings: Settings) -> dict[str, Any]:
    shown = sequence.shows(folder, source)
    there = [sequence.name_of(source, number) for number, use in enumerate(shown) if use == number]
    found = stills.header(file_in(folder, there[0]), settings)
    rate = sequence_scan.rate_of(found, source)
    size = bytes_in(folder, there)
    described = _described(
        "reel", found.width, found.height, len(shown), rate, found.depth_bits, found.channels < 3, size
    )
    return {**described, "header_rate": str(found.rates[0]) if found.rates else None}


def _described(
    kind: str, width: int, height: int, count: int, rate: Fraction | None, depth: int, mono: bool, size: int
) -> dict[str, Any]:
    return {
        "kind": kind, "width": width, "height": height, "frame_count": count, "rate": str(rate) if rate else None,
        "header_rate": None, "depth_bits": depth, "mono": mono, "bytes": size,
    }  # fmt: skip


def _item_of(assignment: Assignment) -> Item:
    if assignment.item is None:
        raise InputError("A reel's task came without its item", code="BAD_VALUE")
    return assignment.item


def fixity_of(path: Place, source: Source, bench: Workbench) -> tuple[str, int]:
    """Check a source against the manifest; returns the digest over all of it and its size in bytes."""
    if source.sequence is None:
        return fixity([path], source.checksum, bench.moved, size_bytes=source.bytes), size_of(path)
    folder = folder_of(path)
    shown = sequence.shows(folder, source)
    there = [sequence.name_of(source, number) for number in sorted({*shown}) if number >= 0]
    listed = checksums.load(bench.store.read(source.listing)) if source.listing else None
    files = (file_in(folder, name) for name in there)
    return fixity(files, source.checksum, bench.moved, listed=listed), bytes_in(folder, there)


def _transfer(tagged: str, source: Source) -> str:
    """Return FFmpeg's name of a film's transfer where the manifest gives one."""
    if source.transfer == "gamma":
        return "unknown" if tagged == "linear" else tagged
    return source.transfer


def _deinterlacing(item: Item) -> DeinterlaceParams | None:
    """Return what the recipe says of fields; none when it leaves them alone."""
    first = item.recipe.steps[0] if item.recipe.steps else None
    if first is None or first.stage != "deinterlace" or not first.params["strength"]:
        return None
    return DeinterlaceParams.model_validate(first.params)


def _judge(look: film_scan.Look, source: Source, *, fields_wanted: bool) -> None:
    if look.damage and not source.accept_damaged:
        raise InputError(f"{source.uri}: {look.damage}", code="TRUNCATED" if look.truncated else "CORRUPT")
    if look.interlaced and not (source.accept_interlaced or fields_wanted):
        raise InputError(f"{source.uri}: {look.interlaced}", code="INTERLACED")


def _facts(look: film_scan.Look, source: Source, digest: str, size_bytes: int, index: Blob) -> ReelFacts:
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
        timecode=source.timecode or look.timecode,
        field_order=look.field_order if look.interlaced else "",
        disagreements=(*_disagreements(look, source), *look.disagreements),
        left_out=look.left_out,
        bytes=size_bytes,
        sha256=digest,
        index=index,
        damaged=look.damage,
        already_colour=look.colour > COLOUR_SPREAD,
        notes=look.notes,
        **look.tags,
    )


def _disagreements(look: film_scan.Look, source: Source) -> Iterator[str]:
    if source.fps and look.header_rate and source.fps != look.header_rate:
        yield (
            f"FPS_CONFLICT: the header says {look.header_rate} frames per second, the manifest {source.fps}; "
            "the manifest was believed"
        )
    if source.timecode and look.timecode and source.timecode != look.timecode:
        yield f"The header's timecode is {look.timecode}, the manifest's {source.timecode}; the manifest was believed"


def _with_sound(facts: ReelFacts, source: Source, bench: Workbench) -> ReelFacts:
    """Take in the sound file that the manifest names."""
    path = place_of_sound(source, bench)
    tracks, seconds = sound.beside(path)
    digest = fixity([path], source.sound_checksum, bench.moved)
    lasts, slack = facts.frame_count / facts.rate, 1 / facts.rate + Fraction(1, 10)
    disagreements = facts.disagreements
    if seconds and abs(seconds - lasts) > slack:
        lengths = f"The sound lasts {float(seconds):.2f} s, the picture {float(lasts):.2f} s"
        disagreements = (*disagreements, f"{lengths} at {facts.rate} frames per second; neither was stretched")
    file = SoundFile(uri=source.sound, bytes=size_of(path), sha256=digest)
    return facts.model_copy(update={"sound": file, "audio": facts.audio + tracks, "disagreements": disagreements})
