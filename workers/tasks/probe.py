"""Probes a reel: fixity, facts, and an index of every frame.

The whole source is streamed for its digest and decoded once. Whatever is wrong with it is said here, before work is
spent; a source that cannot be read exactly at any frame gets a lossless copy that can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from db import checksums
from db.catalog.stages import STAGES
from db.catalog.stages.steadiness import DeinterlaceParams
from db.errors import CODES, InputError
from db.recipe import Recipe
from db.records import Assignment, Blob, ItemView, ReelFacts, SoundFile, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind
from workers.media import given_mask, planes
from workers.media.film import container, packet_scan, rates, sound
from workers.media.film import scan as film_scan
from workers.media.index import ReelScan
from workers.media.pixels import COLOR_SPREAD
from workers.media.remote import Folder, Place, as_folder, size_of
from workers.media.sequences import files as sequence
from workers.media.sequences import scan as sequence_scan
from workers.media.sequences import write as sequence_write
from workers.media.sequences.faults import FrameFaults, check_files
from workers.media.source import fixity, local_still, locate, locate_sound
from workers.media.stills import files as stills
from workers.tasks import disk_space, mezzanine, work_size
from workers.workbench import Workbench


def probe(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Find out all that planning and restoring need to know about a reel.

    Of a long film whose packets say enough, what only decoding shows is left to tasks that survey it in parallel.

    Raises:
        InputError: The source cannot be restored as it is; the code says why.
    """
    item = assignment.reel
    path = locate(item.source, bench.settings, bench.scratch)
    digest, size, faults = _fixity(path, item.source, bench)
    if item.source.sequence is None and item.source.span is None and _deinterlace_params(item.recipe) is None:
        scan = packet_scan.scan_packets(path, item.source, bench.settings, bench.advance)
        if scan is not None:
            return _write_facts(item, path, scan, digest, size, bench, surveyed=False)
    scan = _scan(path, item.source, bench.settings, bench.advance, faults)
    return _write_facts(item, path, scan, digest, size, bench, surveyed=True)


def probe_whole(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Do what :func:`probe` does, decoding the reel from beginning to end.

    Raises:
        InputError: The source cannot be restored as it is; the code says why.
    """
    item = assignment.reel
    path = locate(item.source, bench.settings, bench.scratch)
    digest, size, faults = _fixity(path, item.source, bench)
    scan = _scan(path, item.source, bench.settings, bench.advance, faults)
    return _write_facts(item, path, scan, digest, size, bench, surveyed=True)


def _fixity(path: Place, source: Source, bench: Workbench) -> tuple[str, int, FrameFaults | None]:
    faults = FrameFaults(as_folder(path), source) if source.sequence else None
    return *check_fixity(path, source, bench, faults), faults


def _write_facts(
    item: ItemView, path: Place, scan: ReelScan, digest: str, size: int, bench: Workbench, *, surveyed: bool
) -> TaskResult:
    step = _deinterlace_params(item.recipe)
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
    if not surveyed:
        facts = facts.model_copy(update={"surveyed": False})
        mezzanine.require_room(scan, facts, path, item, bench)
    elif item.source.sequence is None:
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


def _scan(
    path: Place, source: Source, settings: Settings, advance: Callable[[], None], faults: FrameFaults | None = None
) -> ReelScan:
    if source.sequence is not None:
        return sequence_scan.scan_sequence(as_folder(path), source, settings, advance, faults)
    return film_scan.scan_film(path, source, settings, advance)


def look_through(
    source: Source, recipe: Recipe, settings: Settings, scratch: Path, advance: Callable[[], None]
) -> list[str]:
    """Decode all of a source for a dry run, as the work does; returns what a person should know of it.

    Args:
        source: A line's source.
        recipe: For what it makes of interlaced films.
        settings: For the limits.
        scratch: Where files in S3 may lie meanwhile.
        advance: Called after every frame.

    Raises:
        InputError: The source cannot be restored as it is.
    """
    if source.kind is ItemKind.STILL:
        photo = stills.read(local_still(source, settings, scratch), settings, accept_damaged=source.accept_damaged)
        return list(photo.notes)
    scan = _scan(locate(source, settings, scratch), source, settings, advance)
    _check_scan(scan, source, fields_wanted=_deinterlace_params(recipe) is not None)
    damage = (f"The source is damaged: {scan.damage}",) if scan.damage else ()
    return [*damage, *scan.disagreements, *scan.notes]


def describe(source: Source, settings: Settings, scratch: Path) -> dict[str, Any]:
    """Return cheap facts from headers alone, for a dry run.

    Args:
        source: A line's source.
        settings: For the limits.
        scratch: Where a photo in S3 may lie while its header is read.

    Returns:
        ``kind``, ``width``, ``height``, ``frame_count`` (as the header has it), ``rate`` (as ``"16"`` or ``"50/3"``;
        none for a still), ``header_rate`` (what the header says of it, if anything), ``depth_bits``, ``mono``,
        ``bytes``, and ``notes``: what a person should know of it before any work.

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
        rate, guessed = rates.header_rate(stream), rates.is_guessed(path, demuxer, stream)
        count = rates.header_count(demuxer, stream)
        if source.span is not None:
            count = source.span[1] - source.span[0]
        layout = planes.layout_of(coder.pix_fmt or "", full_range=True, matrix="unknown", lines=coder.height)
        mono = layout.model == "gray"
        facts = _source_facts(
            "reel",
            coder.width,
            coder.height,
            count,
            source.fps or rate,
            layout.depth_bits,
            mono,
            size_of(path),
        )
        notes = [rates.guess_note(rate)] if guessed and source.fps is None else []
        return {**facts, "header_rate": None if guessed else str(rate), "notes": notes}


def _describe_sequence(folder: Folder, source: Source, settings: Settings) -> dict[str, Any]:
    frames = sequence.source_frames(folder, source)
    check_files(folder, source, frames)
    names = [sequence.name_of(source, number) for number, use in enumerate(frames) if use == number]
    head = sequence_scan.first_header(folder, source, frames, settings)
    rate = sequence_scan.rate_of(head, source)
    size = folder.bytes_of(names)
    facts = _source_facts("reel", head.width, head.height, len(frames), rate, head.depth_bits, head.channels < 3, size)
    notes = [*sequence_scan.rate_conflicts(head, source), *sequence_scan.rate_notes(head, source)]
    return {**facts, "header_rate": str(head.rates[0]) if head.rates else None, "notes": notes}


def _source_facts(
    kind: str, width: int, height: int, count: int, rate: Fraction | None, depth: int, mono: bool, size: int
) -> dict[str, Any]:
    return {
        "kind": kind, "width": width, "height": height, "frame_count": count, "rate": str(rate) if rate else None,
        "header_rate": None, "depth_bits": depth, "mono": mono, "bytes": size, "notes": [],
    }  # fmt: skip


def check_fixity(path: Place, source: Source, bench: Workbench, faults: FrameFaults | None = None) -> tuple[str, int]:
    """Check a source against the manifest; returns the digest over all of it and its size in bytes.

    Args:
        path: Where it lies.
        source: What the manifest says.
        bench: What waits for it is told that it goes on.
        faults: Gains what is wrong with single frames of a sequence; none raises it.
    """
    if source.sequence is None:
        return fixity([path], source.checksum, bench.advance, size_bytes=source.bytes), size_of(path)
    folder, own = as_folder(path), FrameFaults(as_folder(path), source) if faults is None else faults
    frames = sequence.source_frames(folder, source)
    digests = checksums.load(bench.store.read(source.listing)) if source.listing else None
    numbers = [number for number in sorted({*frames}) if number >= 0]
    opened: list[int] = []

    def files() -> Iterator[Path]:
        for number in numbers:
            with own.collect(number):
                file = sequence.file_of(folder, source, number)
                opened.append(number)
                yield file

    try:
        digest = fixity(
            files(), source.checksum, bench.advance, listed=digests, each=lambda place: own.collect(opened[place])
        )
    except InputError:
        own.check()  # a digest over all of it, of which a part could not be read, says less
        raise
    if faults is None:
        own.check()
    return digest, folder.bytes_of(sequence.name_of(source, number) for number in opened)


def _film_transfer(transfer: str, source: Source) -> str:
    """Return FFmpeg's name of a film's transfer where the manifest gives one."""
    if source.transfer == "gamma":
        return "unknown" if transfer == "linear" else transfer
    return source.transfer


def _deinterlace_params(recipe: Recipe) -> DeinterlaceParams | None:
    """Return what the recipe says of fields; none when it leaves them alone."""
    first = recipe.steps[0] if recipe.steps else None
    if first is None or not STAGES[first.stage].done_by_probe or not first.params["strength"]:
        return None
    return DeinterlaceParams.model_validate(first.params)


def _check_scan(scan: ReelScan, source: Source, *, fields_wanted: bool) -> None:
    if scan.damage and not source.accept_damaged:
        code = "TRUNCATED" if scan.truncated else "CORRUPT"
        raise InputError(f"{source.uri}: {scan.damage}", code=code, remedy=CODES["TRUNCATED"].remedy)
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
