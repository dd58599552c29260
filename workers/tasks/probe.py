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
from db.catalog.stages import STAGES
from db.catalog.stages.steadiness import DeinterlaceParams
from db.errors import InputError
from db.records import Assignment, Blob, ItemView, ReelFacts, SoundFile, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind
from workers.media import given_mask, planes
from workers.media.film import container, sound
from workers.media.film import scan as film_scan
from workers.media.index import ReelScan
from workers.media.pixels import COLOR_SPREAD
from workers.media.remote import Folder, Place, as_folder, size_of
from workers.media.sequences import files as sequence
from workers.media.sequences import scan as sequence_scan
from workers.media.sequences import write as sequence_write
from workers.media.source import fixity, local_still, locate, locate_sound
from workers.media.stills import files as stills
from workers.tasks import disk_space, mezzanine, work_size
from workers.workbench import Workbench


def probe(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Find out all that planning and restoring need to know about a reel.

    Raises:
        InputError: The source cannot be restored as it is; the code says why.
    """
    item = assignment.reel
    path = locate(item.source, bench.settings, bench.scratch)
    digest, size = check_fixity(path, item.source, bench)
    if item.source.sequence is not None:
        scan = sequence_scan.scan_sequence(as_folder(path), item.source, bench.settings, bench.advance)
    else:
        scan = film_scan.scan_film(path, item.source, bench.settings, bench.advance)
    step = _deinterlace_params(item)
    _check_scan(scan, item.source, fields_wanted=step is not None)
    if item.source.transfer and not item.source.sequence:
        scan.tags["transfer"] = _film_transfer(scan.tags["transfer"], item.source)
    if step is not None and item.source.sequence:
        scan.notes += ("deinterlace left the reel as it is: files of an image sequence are taken as whole frames.",)
    if sequence_write.is_wanted(item):
        first = int(np.flatnonzero(scan.index.shows == np.arange(len(scan.index)))[0])
        scan.notes += sequence_write.check_writable(as_folder(path), item, first, bench.settings, bench.scratch)
    facts = _reel_facts(scan, item.source, digest, size, bench.put_bytes("index.npz", scan.index.dumps()))
    shape = work_size.PictureShape(facts.width, facts.height, facts.mono, is_reel=True)
    work_size.check(item.recipe, shape, bench.settings, item.source.uri)
    lasts = scan.index.seconds(-1) if scan.variable_rate else facts.frame_count / facts.rate
    work_size.check_access(item.recipe, facts.frame_count, lasts, item.source.uri)
    if item.source.sequence is None:
        facts = mezzanine.make_readable(scan, facts, path, item, step, bench)
    else:
        disk_space.require_for_reel(item, facts, disk_space.raw_frame_bytes(facts), bench)
    if item.source.sound:
        facts = _with_sound(facts, item.source, bench)
    if item.source.mask:
        path = given_mask.store_masks(item.source, facts, bench)
        facts = facts.model_copy(update={"mask": bench.put("mask.mkv", path)})
    outputs = {"index": facts.index} | ({"mezzanine": facts.mezzanine} if facts.mezzanine else {})
    outputs |= {"mask": facts.mask} if facts.mask else {}
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
        photo = local_still(source, settings, scratch)
        head = stills.header(photo, settings)
        return _source_facts(
            "still", head.width, head.height, 1, None, head.depth_bits, head.channels < 3, photo.stat().st_size
        )
    path = locate(source, settings, scratch)
    if source.sequence is not None:
        return _describe_sequence(as_folder(path), source, settings)
    with container.open_film(path, max_pixels=settings.max_pixels) as (demuxer, stream):
        coder = stream.codec_context
        header_rate = film_scan.header_rate(stream)
        count = stream.frames or round(Fraction(demuxer.duration or 0, 1_000_000) * header_rate)
        if source.span is not None:
            count = source.span[1] - source.span[0]
        layout = planes.layout_of(coder.pix_fmt or "", full_range=True, matrix="unknown", lines=coder.height)
        mono = layout.model == "gray"
        facts = _source_facts(
            "reel",
            coder.width,
            coder.height,
            count,
            source.fps or header_rate,
            layout.depth_bits,
            mono,
            size_of(path),
        )
        return {**facts, "header_rate": str(header_rate)}


def _describe_sequence(folder: Folder, source: Source, settings: Settings) -> dict[str, Any]:
    frames = sequence.source_frames(folder, source)
    names = [sequence.name_of(source, number) for number, use in enumerate(frames) if use == number]
    head = stills.header(folder.file(names[0]), settings)
    rate = sequence_scan.rate_of(head, source)
    size = folder.bytes_of(names)
    facts = _source_facts("reel", head.width, head.height, len(frames), rate, head.depth_bits, head.channels < 3, size)
    return {**facts, "header_rate": str(head.rates[0]) if head.rates else None}


def _source_facts(
    kind: str, width: int, height: int, count: int, rate: Fraction | None, depth: int, mono: bool, size: int
) -> dict[str, Any]:
    return {
        "kind": kind, "width": width, "height": height, "frame_count": count, "rate": str(rate) if rate else None,
        "header_rate": None, "depth_bits": depth, "mono": mono, "bytes": size,
    }  # fmt: skip


def check_fixity(path: Place, source: Source, bench: Workbench) -> tuple[str, int]:
    """Check a source against the manifest; returns the digest over all of it and its size in bytes."""
    if source.sequence is None:
        return fixity([path], source.checksum, bench.advance, size_bytes=source.bytes), size_of(path)
    folder = as_folder(path)
    frames = sequence.source_frames(folder, source)
    names = [sequence.name_of(source, number) for number in sorted({*frames}) if number >= 0]
    digests = checksums.load(bench.store.read(source.listing)) if source.listing else None
    files = (folder.file(name) for name in names)
    return fixity(files, source.checksum, bench.advance, listed=digests), folder.bytes_of(names)


def _film_transfer(transfer: str, source: Source) -> str:
    """Return FFmpeg's name of a film's transfer where the manifest gives one."""
    if source.transfer == "gamma":
        return "unknown" if transfer == "linear" else transfer
    return source.transfer


def _deinterlace_params(item: ItemView) -> DeinterlaceParams | None:
    """Return what the recipe says of fields; none when it leaves them alone."""
    first = item.recipe.steps[0] if item.recipe.steps else None
    if first is None or not STAGES[first.stage].done_by_probe or not first.params["strength"]:
        return None
    return DeinterlaceParams.model_validate(first.params)


def _check_scan(scan: ReelScan, source: Source, *, fields_wanted: bool) -> None:
    if scan.damage and not source.accept_damaged:
        raise InputError(f"{source.uri}: {scan.damage}", code="TRUNCATED" if scan.truncated else "CORRUPT")
    if scan.interlaced and not (source.accept_interlaced or fields_wanted):
        raise InputError(f"{source.uri}: {scan.interlaced}", code="INTERLACED")


def _reel_facts(scan: ReelScan, source: Source, digest: str, size_bytes: int, index: Blob) -> ReelFacts:
    sideways = scan.rotation_degrees in {90, 270}
    height, width = scan.size[::-1] if sideways else scan.size
    return ReelFacts(
        frame_count=len(scan.index),
        rate=scan.rate,
        width=width,
        height=height,
        depth_bits=scan.layout.depth_bits,
        pixel_format=scan.pixel_format,
        mono=scan.layout.model == "gray",
        color_range="full" if scan.layout.full_range else "limited",
        sample_aspect=1 / scan.sample_aspect if sideways else scan.sample_aspect,
        rotation_degrees=scan.rotation_degrees,
        variable_rate=scan.variable_rate,
        audio=scan.audio,
        timecode=source.timecode or scan.timecode,
        field_order=scan.field_order if scan.interlaced else "",
        disagreements=(*_disagreements(scan, source), *scan.disagreements),
        left_out=scan.left_out,
        bytes=size_bytes,
        sha256=digest,
        index=index,
        damaged=scan.damage,
        already_colored=scan.color > COLOR_SPREAD,
        notes=scan.notes,
        **scan.tags,
    )


def _disagreements(scan: ReelScan, source: Source) -> Iterator[str]:
    if source.fps and scan.header_rate and source.fps != scan.header_rate:
        yield (
            f"FPS_CONFLICT: the header says {scan.header_rate} frames per second, the manifest {source.fps}; "
            "the manifest was believed"
        )
    if source.timecode and scan.timecode and source.timecode != scan.timecode:
        yield f"The header's timecode is {scan.timecode}, the manifest's {source.timecode}; the manifest was believed"


def _with_sound(facts: ReelFacts, source: Source, bench: Workbench) -> ReelFacts:
    """Take in the sound file that the manifest names."""
    path = locate_sound(source, bench)
    tracks, seconds = sound.read_sound_file(path)
    digest = fixity([path], source.sound_checksum, bench.advance)
    lasts, slack = facts.frame_count / facts.rate, 1 / facts.rate + Fraction(1, 10)
    disagreements = facts.disagreements
    if seconds and abs(seconds - lasts) > slack:
        lengths = f"The sound lasts {float(seconds):.2f} s, the picture {float(lasts):.2f} s"
        disagreements = (*disagreements, f"{lengths} at {facts.rate} frames per second; neither was stretched")
    file = SoundFile(uri=source.sound, bytes=size_of(path), sha256=digest)
    return facts.model_copy(update={"sound": file, "audio": facts.audio + tracks, "disagreements": disagreements})
