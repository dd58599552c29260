"""Looks an image sequence through: every file's hash, and what headers and manifest claim."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from fractions import Fraction
from itertools import chain

import numpy as np

from db.errors import InputError
from db.records import Source
from db.settings import Settings
from workers.media import planes
from workers.media.index import BLACK, DEFAULT_RATE, Index, ReelScan
from workers.media.pixels import chroma_spread
from workers.media.remote import Folder
from workers.media.sequences import files as sequence
from workers.media.stills import files as stills
from workers.media.stills.photo import StillHeader
from workers.media.transfer import Transfer

_WRITERS_OF_LINEAR = ("Lavc", "Lavf")
"""FFmpeg calls every DPX that it writes linear, whatever is in it."""
_USUAL_LEAST = Fraction(8)
_UNREADABLE = frozenset({"TRUNCATED", "CORRUPT", "BAD_HEADER", "ZERO_BYTE", "UNKNOWN_FORMAT"})
_NAMED_FILES = 8


def scan_sequence(folder: Folder, source: Source, settings: Settings, advance: Callable[[], None]) -> ReelScan:
    """Read an image sequence once from beginning to end.

    Where the manifest accepts damage, a file that cannot be decoded counts as a hole, filled as ``missing`` says.

    Raises:
        InputError: ``SEQUENCE_GAP``, ``MIXED_GEOMETRY`` and as a still, naming the file.
    """
    frames = sequence.source_frames(folder, source)
    digests = np.zeros((len(frames), planes.DIGEST_BYTES), np.uint8)
    head = _first_header(folder, source, frames, settings)
    source = source.model_copy(update={"transfer": transfer_of(head, source)})
    scan: ReelScan | None = None
    kind = ""
    damaged: dict[int, str] = {}
    for number in range(len(frames)):
        if frames[number] == number:
            path = sequence.file_of(folder, source, number)
            try:
                samples, photo = sequence.read(path, scan.layout if scan else None, source, settings)
            except InputError as error:
                if not source.accept_damaged or error.code not in _UNREADABLE:
                    raise
                damaged[number] = error.code
                continue
            scan, kind = scan or _new_scan(photo, samples[0].shape), kind or photo.kind
            if samples[0].shape != scan.size:
                raise InputError(
                    f"{path}: {samples[0].shape[::-1]}, the frames before are {scan.size[::-1]}", code="MIXED_GEOMETRY"
                )
            if photo.kind != kind:
                raise InputError(f"{path}: {photo.kind}, the frames before are {kind}", code="MIXED_GEOMETRY")
            digests[number] = planes.digest(samples)
            if not scan.left_out and _is_transparent(photo):
                scan.left_out = ("the picture's transparency",)
            if number & (number - 1) == 0:
                scan.color = max(scan.color, chroma_spread(samples, scan.layout))
        advance()
    if scan is None:
        raise _empty_sequence(folder)
    if damaged:
        frames = sequence.fill_gaps(
            [frames[frame] == frame and frame not in damaged for frame in range(len(frames))], source
        )
        scan.damage = _damage_text(source, damaged)
    for number, use in enumerate(frames):
        if use not in (number, BLACK):
            digests[number] = digests[use]
    scan.rate, scan.timecode = rate_of(head, source), head.timecode
    scan.header_rate = head.rates[0] if head.rates else None
    scan.disagreements = tuple(_rate_conflicts(head, source))
    scan.notes = tuple(
        chain(_gap_notes(source, frames, damaged), _transfer_notes(head, source), _float_notes(scan), _page_notes(head))
    )
    numbers = np.arange(len(frames), dtype=np.int64)
    scan.index = Index(numbers, 1 / scan.rate, np.ones(len(frames), bool), digests, np.array(frames, np.int64))
    return scan


def _is_transparent(photo: stills.Photo) -> bool:
    if photo.alpha is None:
        return False
    opaque = 1 if photo.floating else 2**photo.depth_bits - 1
    return bool((photo.alpha < opaque).any())


def rate_of(head: StillHeader, source: Source) -> Fraction:
    """Return frames per second: the manifest's, else the header's, else 24."""
    return source.fps or (head.rates[0] if head.rates else DEFAULT_RATE)


def _rate_conflicts(head: StillHeader, source: Source) -> Iterator[str]:
    """Say where two fields of a header contradict each other, or one cannot be right."""
    if source.fps or not head.rates:
        return
    if len(set(head.rates)) > 1:
        yield (
            f"FPS_CONFLICT: the header says {head.rates[0]} frames per second in its film part and {head.rates[1]} in "
            "its television part; the first was believed. The manifest's fps field decides"
        )
    elif head.rates[0] < _USUAL_LEAST:
        yield f"FPS_CONFLICT: {head.rates[0]} frames per second, as the header says, is hardly the rate of a film"


def transfer_of(head: StillHeader, source: Source) -> Transfer:
    """Return how samples stand for light: as the manifest says, else the header, but where its writer always errs."""
    if source.transfer:
        return source.transfer
    return "gamma" if _has_wrong_transfer(head) else head.transfer


def _has_wrong_transfer(head: StillHeader) -> bool:
    return head.kind == "dpx" and head.transfer == "linear" and head.writer.startswith(_WRITERS_OF_LINEAR)


def _new_scan(photo: stills.Photo, size: tuple[int, ...]) -> ReelScan:
    layout = photo.layout()
    tag = "unknown" if layout.transfer == "gamma" else layout.transfer
    tags: dict[str, str] = {"matrix": "unknown", "primaries": "unknown", "transfer": tag}
    return ReelScan(layout, planes.planar_format(layout), (size[0], size[1]), tags, DEFAULT_RATE)


def _first_header(folder: Folder, source: Source, frames: list[int], settings: Settings) -> StillHeader:
    """Return what the first file says of the sequence; where damage is accepted, the first that says anything."""
    for number, use in enumerate(frames):
        if use == number:
            try:
                return stills.header(sequence.file_of(folder, source, number), settings)
            except InputError as error:
                if not source.accept_damaged or error.code not in _UNREADABLE:
                    raise
    raise _empty_sequence(folder)


def _empty_sequence(folder: Folder) -> InputError:
    return InputError(f"{folder}: not one file of the sequence can be decoded", code="CORRUPT")


def _damage_text(source: Source, damaged: dict[int, str]) -> str:
    names = [
        f"{sequence.shown_name_of(source, frame)} ({code})" for frame, code in list(damaged.items())[:_NAMED_FILES]
    ]
    more = f" and {len(damaged) - _NAMED_FILES} more" if len(damaged) > _NAMED_FILES else ""
    return f"{', '.join(names)}{more} cannot be decoded; in their place {_replacement_text(source)}"


def _replacement_text(source: Source) -> str:
    return "is black" if source.missing == "black" else "the last frame before (at the start, the first) is held"


def _gap_notes(source: Source, frames: list[int], damaged: Container[int]) -> Iterator[str]:
    numbers = sequence.numbers(source)
    gaps = [numbers[frame] for frame, use in enumerate(frames) if use != frame and frame not in damaged]
    if gaps:
        yield (
            f"SEQUENCE_GAP: the sequence lacks {sequence.format_ranges(gaps)}; "
            f"in their place {_replacement_text(source)}."
        )


def _transfer_notes(head: StillHeader, source: Source) -> Iterator[str]:
    if source.transfer in {"log", "linear"}:
        yield (
            f"Samples stand for light as {source.transfer}; they were brought to display gamma for the work and for "
            "viewing copies, and back in what keeps the source's samples."
        )
    if _has_wrong_transfer(head) and source.transfer == "gamma":
        yield (
            "The header calls the samples linear, as FFmpeg does in all DPX that it writes; they were taken as gamma. "
            "The manifest's transfer field decides."
        )


def _page_notes(head: StillHeader) -> Iterator[str]:
    if head.pages > 1:
        yield f"The first file holds {head.pages} pictures; of each file the first alone was taken."


def _float_notes(scan: ReelScan) -> Iterator[str]:
    if scan.layout.floating:
        yield (
            "The samples are floating point, which the FFV1 master cannot hold: it has 16 bits of display gamma, with "
            "values below 0 and above 1 clipped. The output `sequence` has them exactly."
        )
