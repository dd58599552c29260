"""Looks an image sequence through: every file's hash, and what headers and manifest claim."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.records import Source
from db.settings import Settings
from workers.media import planes
from workers.media.digests import DIGEST_BYTES
from workers.media.index import BLACK, DEFAULT_RATE, Index, ReelScan
from workers.media.pixels import chroma_spread
from workers.media.remote import Folder
from workers.media.sequences import files as sequence
from workers.media.sequences.faults import UNREADABLE, FrameFaults, format_kinds
from workers.media.stills import files as stills
from workers.media.stills.photo import StillHeader
from workers.media.transfer import Transfer

_WRITERS_OF_LINEAR = ("Lavc", "Lavf")
"""FFmpeg calls every DPX that it writes linear, whatever is in it."""
_USUAL_LEAST = Fraction(8)


def scan_sequence(
    folder: Folder,
    source: Source,
    settings: Settings,
    advance: Callable[[], None],
    faults: FrameFaults | None = None,
) -> ReelScan:
    """Read an image sequence once from beginning to end.

    Where the manifest accepts damage, a file that cannot be decoded counts as a hole, filled as ``missing`` says.

    Args:
        folder: Where its files lie.
        source: The sequence.
        settings: For the limits.
        advance: Called after every frame.
        faults: What is known to be wrong with frames already.

    Raises:
        InputError: ``SEQUENCE_GAP``, ``MIXED_GEOMETRY`` and as a still, naming all the frames of which it is true.
    """
    frames = sequence.source_frames(folder, source)
    look = _SequenceLook(folder, source, settings, np.zeros((len(frames), DIGEST_BYTES), np.uint8))
    faults = faults or FrameFaults(folder, source)
    for number, use in enumerate(frames):
        if use == number:
            with faults.collect(number):
                look.take(number)
        advance()
    faults.check()
    if look.scan is None:
        raise _empty_sequence(folder)
    return _finish(look, look.scan, frames, faults.damaged)


@dataclass
class _SequenceLook:
    """Looks at frame after frame; all must be like the first that can be read."""

    folder: Folder
    source: Source
    settings: Settings
    digests: NDArray[np.uint8]
    head: StillHeader | None = None
    """Of the first file that says anything."""
    scan: ReelScan | None = None
    kind: str = ""
    rates: dict[Fraction | None, list[int]] = field(default_factory=dict)
    """Frames by the rate that their headers give; none where they give none."""

    def take(self, number: int) -> None:
        """Decode a frame; raises ``InputError`` for one that cannot be read or is not like the others."""
        path = sequence.file_of(self.folder, self.source, number)
        if self.head is None:
            self.head = stills.header(path, self.settings)
            self.source = self.source.model_copy(update={"transfer": transfer_of(self.head, self.source)})
        samples, photo = sequence.read(path, self.scan.layout if self.scan else None, self.source, self.settings)
        self.scan, self.kind = self.scan or _new_scan(photo, samples[0].shape), self.kind or photo.kind
        if samples[0].shape != self.scan.size:
            (height, width), like = samples[0].shape, self.scan.size
            message = f"{path}: {width}x{height} pixels, the first has {like[1]}x{like[0]}"
            raise InputError(message, code="MIXED_GEOMETRY")
        if photo.kind != self.kind:
            raise InputError(f"{path}: {photo.kind}, the first is {self.kind}", code="MIXED_GEOMETRY")
        self.digests[number] = planes.digest(samples)
        self.rates.setdefault(next(iter(stills.rates_of(photo)), None), []).append(number)
        if not self.scan.left_out and _is_transparent(photo):
            self.scan.left_out = ("the picture's transparency",)
        if number & (number - 1) == 0:
            self.scan.color = max(self.scan.color, chroma_spread(samples, self.scan.layout))


def _finish(look: _SequenceLook, scan: ReelScan, frames: list[int], damaged: dict[int, str]) -> ReelScan:
    """Put together what the header says and what the frames are."""
    head, source = look.head, look.source
    assert head is not None
    if damaged:
        frames = sequence.fill_gaps(
            [frames[frame] == frame and frame not in damaged for frame in range(len(frames))], source
        )
        scan.damage = _damage_text(source, damaged)
    for number, use in enumerate(frames):
        if use not in (number, BLACK):
            look.digests[number] = look.digests[use]
    scan.rate, scan.timecode = rate_of(head, source), head.timecode
    scan.header_rate = head.rates[0] if head.rates else None
    scan.disagreements = tuple(chain(rate_conflicts(head, source), _rate_changes(look, scan.rate)))
    gaps = _gap_notes(source, frames, damaged)
    scan.notes = (
        *gaps,
        *rate_notes(head, source),
        *_transfer_notes(head, source),
        *_float_notes(scan),
        *_page_notes(head),
    )
    numbers = np.arange(len(frames), dtype=np.int64)
    scan.index = Index(numbers, 1 / scan.rate, np.ones(len(frames), bool), look.digests, np.array(frames, np.int64))
    return scan


def _is_transparent(photo: stills.Photo) -> bool:
    if photo.alpha is None:
        return False
    opaque = 1 if photo.floating else 2**photo.depth_bits - 1
    return bool((photo.alpha < opaque).any())


def rate_of(head: StillHeader, source: Source) -> Fraction:
    """Return frames per second: the manifest's, else the header's, else 24."""
    return source.fps or (head.rates[0] if head.rates else DEFAULT_RATE)


def rate_conflicts(head: StillHeader, source: Source) -> Iterator[str]:
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


def rate_notes(head: StillHeader, source: Source) -> Iterator[str]:
    """Say which rate was taken where the header gives none, or also one that cannot be."""
    if source.fps or (head.rates and not head.odd_rates):
        return
    odd = ", ".join(head.odd_rates)
    why = f"The header gives a frame rate that cannot be: {odd}" if odd else "The files give no frame rate"
    yield f"{why}; {rate_of(head, source)} frames per second were taken. The field fps decides."


def _rate_changes(look: _SequenceLook, rate: Fraction) -> Iterator[str]:
    """Say at which frames the headers give another rate than the first."""
    if look.source.fps or len(look.rates) < 2:
        return
    kinds = {str(each) if each else "none": frames for each, frames in look.rates.items()}
    named = format_kinds(look.source, kinds)
    yield (
        f"FPS_CONFLICT: the headers of the frames give different rates: {named}; {rate} frames per second were taken "
        "for all. The manifest's fps field decides"
    )


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


def first_header(folder: Folder, source: Source, frames: list[int], settings: Settings) -> StillHeader:
    """Return what the first file says of the sequence; where damage is accepted, the first that says anything.

    Raises:
        InputError: As ``stills.header``, or ``CORRUPT``.
    """
    for number, use in enumerate(frames):
        if use == number:
            try:
                return stills.header(sequence.file_of(folder, source, number), settings)
            except InputError as error:
                if not source.accept_damaged or error.code not in UNREADABLE:
                    raise
    raise _empty_sequence(folder)


def _empty_sequence(folder: Folder) -> InputError:
    return InputError(f"{folder}: not one file of the sequence can be decoded", code="CORRUPT")


def _damage_text(source: Source, damaged: dict[int, str]) -> str:
    kinds: dict[str, list[int]] = {}
    for frame, code in damaged.items():
        kinds.setdefault(code, []).append(frame)
    named = format_kinds(source, kinds)
    return f"frames {named} cannot be decoded; in their place {_replacement_text(source)}"


def _replacement_text(source: Source) -> str:
    return "is black" if source.missing == "black" else "the last frame before (at the start, the first) is held"


def _gap_notes(source: Source, frames: list[int], damaged: Container[int]) -> Iterator[str]:
    numbers = sequence.numbers(source)
    gaps = [numbers[frame] for frame, use in enumerate(frames) if use != frame and frame not in damaged]
    if gaps:
        yield (
            f"SEQUENCE_GAP: the sequence lacks {sequence.format_ranges(gaps, numbers.step)}; "
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
