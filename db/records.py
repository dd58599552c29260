"""The frozen records that cross rooms: what a worker is given, and what it gives back.

Everything here is stored as JSON in a row or a blob, so a field is only ever added, with a default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError, field_validator

from db.blob import Blob as Blob
from db.blob import Rational
from db.blob import Record as Record
from db.errors import InputError
from db.local_paths import FILE, decode, disk_path
from db.recipe import Recipe
from db.states import ItemKind, TaskKind

LEAST_RATE = Fraction(1, 1000)
"""Frames a second: what is shown for longer is no moving picture, and no container keeps time so slowly."""
MOST_MADE = 100
"""Frames that may be made of each that is there: in a sequence's holes, and for an access copy of another rate."""

BLOCK_FRAMES = 128
"""Frames that one read-back task takes, and one closed piece of an access copy: counted from the reel's first frame, so
that it does not matter where segments were cut. Shorter pieces cost more bytes on film that hardly moves."""
NEIGHBOR_FRAMES = 4
"""As far apart as metrics of neighbouring frames compare at most: a block is read from so many frames before it."""


class Sequence(Record):
    """Numbered files that make one reel: ``prefix`` + number + ``suffix``, in the folder that ``Source.uri`` names.

    Where that is a ``file://`` URL, prefix and suffix are per-cent encoded as it is.
    """

    prefix: str
    suffix: str
    padding: int = 0
    """Digits of the number, 0 when it is not padded."""
    start: int
    end: int
    """Last number, included."""
    step: int = 1

    @property
    def numbers(self) -> range:
        """The numbers in the files' names, in order."""
        return range(self.start, self.end + 1, self.step)

    def check_holes(self, present: int, where: str) -> None:
        """Refuse a sequence that would be made of next to nothing, before a list as long as it is made.

        Args:
            present: How many of its files are there.
            where: Folder or address, for the message.

        Raises:
            InputError: ``SEQUENCE_GAP``.
        """
        count = len(self.numbers)
        if present and count > (MOST_MADE + 1) * present:
            raise InputError(
                f"{where}: {present} of {count:,} frames are there; at most {MOST_MADE} may be lacking for each",
                code="SEQUENCE_GAP",
                remedy="Correct `sequence.start`, `sequence.end` and `sequence.step`, or send the missing frames.",
            )

    def part(self, span: tuple[int, int]) -> Sequence:
        """Return the frames ``[first, stop)`` as a sequence again; raises ``InputError`` where it has fewer."""
        numbers = self.numbers[span[0] : span[1]]
        if not numbers or len(numbers) < span[1] - span[0]:
            raise InputError(f"The span {span[0]}-{span[1] - 1} leaves the sequence {self.start}-{self.end}")
        return self.model_copy(update={"start": numbers[0], "end": numbers[-1]})


class Source(Record):
    """What one line of a manifest names, and what the line says about it."""

    uri: str
    """An absolute path as ``db.local_paths`` spells it, or ``s3://bucket/key``; for a sequence the folder."""
    kind: ItemKind
    sequence: Sequence | None = None
    checksum: dict[str, str] = Field(default_factory=dict)
    """Algorithm (a name in ``db.checksums``) to hex digest; checked while the source is read."""
    listing: Blob | None = None
    """Digests of a sequence's files one by one (see ``db.checksums``), checked like ``checksum``; none without any."""
    bytes: int | None = None
    """Size that the manifest gives; none when it says nothing."""
    fps: Rational | None = None
    """Frame rate that overrides the header's; none keeps the header's."""
    missing: Literal["error", "hold", "black", "interpolate"] = "error"
    """What stands in for frames that are missing in a sequence."""
    accept_damaged: bool = False
    """Restore what can be decoded of a truncated or corrupt source."""
    accept_interlaced: bool = False
    """Treat interlaced frames as if they were whole."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Objects in it, for colorizers that want to know: left, top, right, bottom in pixels."""
    span: tuple[int, int] | None = None
    """Half-open range of a film's frames that make the reel, counted from 0; none takes the whole film.

    Of a sequence it is a part that is a sequence itself, see :meth:`Sequence.subset`.
    """
    timecode: str = ""
    """Start timecode that overrides the header's; empty keeps the header's."""
    transfer: Literal["", "gamma", "linear", "log"] = ""
    """How samples stand for light, where it overrides the header's; empty keeps the header's."""
    sound: str = ""
    """URI of a sound file that belongs to a reel without sound of its own; empty when there is none."""
    mask: str = ""
    """URI of a picture (of a reel also a film, or a folder of pictures) that is white where it is damaged; or empty."""
    sound_checksum: dict[str, str] = Field(default_factory=dict)
    """Like ``checksum``, of the sound file."""
    version_id: str = ""
    """Version of an object in S3; empty takes the newest."""
    roots: tuple[str, ...] | None = None
    """What it, its sound and its mask must lie beneath, as ``beneath.real_roots`` gave it when the job was submitted.

    It is never resolved again: a root that was exchanged for a link since would allow whatever the link leads to.
    None for jobs of 0.1: anywhere.
    """

    @property
    def path(self) -> str:
        """Where it lies on this machine, under its true bytes; an address in S3 is itself."""
        return disk_path(self.uri)

    def file_name(self, digits: str) -> str:
        """Return what a file of its sequence is called on the disk; ``digits`` stand for the number."""
        assert self.sequence is not None
        prefix, suffix = self.sequence.prefix, self.sequence.suffix
        if self.uri.startswith(FILE):
            prefix, suffix = decode(prefix), decode(suffix)
        return f"{prefix}{digits}{suffix}"


class AudioTrack(Record):
    """One sound track of a reel."""

    codec: str
    sample_rate_hz: int
    channels: int
    language: str = ""


class SoundFile(Record):
    """A file of sound that belongs to a reel."""

    uri: str
    bytes: int
    sha256: str


class ReelFacts(Record):
    """What the probe found out about a reel."""

    frame_count: int
    rate: Rational
    """Frames per second in force: the manifest's, else the header's."""
    width: int
    height: int
    depth_bits: int
    """Significant bits of a sample, 8 to 16; 16 or 32 for floating point."""
    pixel_format: str
    """FFmpeg's name of the source's pixel layout."""
    mono: bool
    """Whether the source has one channel."""
    color_range: Literal["full", "limited"] = "limited"
    matrix: str = "unknown"
    """FFmpeg's name of the YUV matrix, as tagged."""
    primaries: str = "unknown"
    transfer: str = "unknown"
    """FFmpeg's name, as tagged or as the manifest says; ``log`` for film scans in printing density."""
    sample_aspect: Rational = Fraction(1)
    rotation_degrees: int = 0
    variable_rate: bool = False
    """Whether frames are not evenly spaced; then the index's own times are kept."""
    audio: tuple[AudioTrack, ...] = ()
    timecode: str = ""
    bytes: int
    sha256: str
    """Digest of the whole source as it was read (of all files in order, for a sequence)."""
    index: Blob
    """Per frame: time stamp, whether a decoder can start there, hash of the decoded picture."""
    surveyed: bool = True
    """Whether every frame was decoded and hashed; else inspect tasks do it, and ``merge`` completes these facts."""
    mezzanine: Blob | None = None
    """A sequential lossless copy that is read instead of the source; none when the source can be sought exactly."""
    damaged: str = ""
    """What is wrong with the source, when it was accepted nevertheless."""
    field_order: Literal["", "top", "bottom"] = ""
    """Which field of an interlaced frame comes first; empty when frames are whole."""
    deinterlaced: str = ""
    """How whole frames were made of fields before anything else was done; empty when they were not."""
    left_out: tuple[str, ...] = ()
    """What the source holds and no output can carry, in words."""
    disagreements: tuple[str, ...] = ()
    """Where header and manifest, or picture and sound, contradict each other, in words; the manifest was believed."""
    notes: tuple[str, ...] = ()
    """What else a person should know of the source, in words."""
    sound: SoundFile | None = None
    """The sound file that the manifest names; none when there is none."""
    mezzanine_pruned: bool = False
    """Whether there was a mezzanine that was removed after the reel was done: frames are read again by a new probe."""
    mask: Blob | None = None
    """The mask that the manifest gives, as a lossless film; none when it gives none."""
    already_colored: bool = Field(False, validation_alias=AliasChoices("already_colored", "already_colour"))
    """Whether the pictures have colour of their own."""


class Substitute(Record):
    """A frame that cannot be read or restored, and what is used everywhere in its place."""

    frame: int
    use: int | None
    """The good frame that is held instead; none means black."""
    reason: str


class EarlierResult(Record):
    """What an earlier generation came to, of which a reel takes over what did not change."""

    generation: int
    outputs: dict[str, Blob]
    frames: tuple[int, int]
    """Half-open range of the frames that are done anew; all others are as they were."""


class ItemView(Record):
    """One line of a manifest as a worker sees it."""

    id: int
    external_id: str
    source: Source
    recipe: Recipe
    generation: int
    facts: ReelFacts | None = None
    """None until the reel is probed; always none for a still."""
    profile: Blob | None = None
    """The reel profile that ``merge`` made; none when no step needs one."""
    substitutes: tuple[Substitute, ...] = ()
    base: EarlierResult | None = None
    """What frames are taken over from; none when all are restored."""
    batch_frames: int = 8
    """Frames in one cell of the batch grid, fixed when the reel was planned."""


class Part(Record):
    """A finished task of the same reel: what ``merge``, ``read_back`` and ``assemble`` go on from."""

    start_frame: int
    stop_frame: int
    outputs: dict[str, Blob]


class Assignment(Record):
    """All that one attempt needs to know."""

    task_id: int
    attempt: int
    kind: TaskKind
    job_id: int
    item: ItemView | None = None
    """None for a bundle of stills."""
    stills: tuple[ItemView, ...] = ()
    """The stills of a bundle that are not finished yet, in order."""
    start_frame: int = 0
    stop_frame: int = 0
    """Half-open range of the frames to write."""
    parts: tuple[Part, ...] = ()
    """In frame order: inspect tasks for ``merge``, restore tasks for ``read_back`` and ``assemble``."""
    blocks: tuple[Part, ...] = ()
    """In frame order: read-back tasks for ``assemble``."""
    isolate: bool = False
    """Whether decode and compute must run in a child process, to find the frame that kills it."""
    key_prefix: str
    """Where this attempt's blobs go; no other attempt writes there."""

    @property
    def reel(self) -> ItemView:
        """The reel that the task is about; raises ``InputError`` (``BAD_VALUE``) for a bundle of stills."""
        if self.item is None:
            raise InputError("A reel's task came without its item", code="BAD_VALUE")
        return self.item


class TaskResult(Record):
    """What a finished task of a reel leaves behind, unless it finishes the reel."""

    outputs: dict[str, Blob] = Field(default_factory=dict)
    """``index`` · ``values`` · ``profile`` · ``chunk`` and ``scores`` · ``frames`` and ``access``, by kind of task."""
    facts: ReelFacts | None = None
    """Set by the probe alone."""
    frames: int = 0


_FOR_PAGES = frozenset({"timeline"})


class BelowGate(Record):
    """What does not meet a gate of the recipe: neighbouring frames, a still, or a reel as a whole."""

    metric: str
    gate: str
    """What was asked of it: ``>= 30``."""
    value: float
    """The worst that was measured."""
    start_frame: int | None = None
    stop_frame: int | None = None
    """Half-open range of frames, of which single ones may meet the gate; none where a reel has one value as a whole."""


class ItemResult(Record):
    """What a finished item leaves behind."""

    outputs: dict[str, Blob]
    """``master``, ``access``, ``scores``, ``framemd5``, ``audio`` … for a reel; ``still``, ``scores`` for a still."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Summary of each metric, by its name; finite. One that could not be taken is left out."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What was found out about the source (sizes, digests, formats), for the report."""
    notes: tuple[str, ...] = ()
    """What a person should know: sound kept beside the film, frames replaced, metadata not carried."""
    frames: int = 1
    below_gates: tuple[BelowGate, ...] = Field((), exclude_if=lambda rows: not rows)
    """Worst first, gate by gate in the recipe's order; empty where every gate is met."""

    @field_validator("scores", mode="before")
    @classmethod
    def _leave_out_no_numbers(cls, values: Any) -> Any:
        """Drop what is no number: JSON has none for it, and rows of earlier releases hold null there."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if not _is_no_number(value)}


def deliverables(outputs: Mapping[str, Blob]) -> dict[str, Blob]:
    """Return the outputs of an item that a person is given: all but those that pages are drawn from."""
    return {name: blob for name, blob in outputs.items() if name not in _FOR_PAGES}


def _is_no_number(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


_Word = TypeVar("_Word", bound=StrEnum)


def read_column(kind: Any, text: str | None, where: str) -> Any:
    """Read a record, or a tuple of records, from a column of the database.

    Args:
        kind: A :class:`Record`, or ``tuple[…, ...]`` of one.
        text: JSON, as it stands there.
        where: Which row, for people.

    Raises:
        InputError: ``RECORD_UNREADABLE``.
    """
    with _name_row(where):
        return _adapter(kind).validate_json(text or "")


def read_object(text: str, where: str) -> dict[str, Any]:
    """Read names and values from a column of the database; raises as :func:`read_column`."""
    with _name_row(where):
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("an object is needed")
        return cast(dict[str, Any], values)


def read_word(kind: type[_Word], word: str, where: str) -> _Word:
    """Read one of the words of ``db.states`` from a column of the database; raises as :func:`read_column`."""
    with _name_row(where):
        return kind(word)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@contextmanager
def _name_row(where: str) -> Iterator[None]:
    """Say which row it is that only another program, or another release, can have written so."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = ": ".join([*map(str, first["loc"]), first["msg"]]) if first else str(error)
        message = f"The database's row of {where} cannot be read: {' '.join(reason.split()):.200}"
        raise InputError(message, code="RECORD_UNREADABLE") from error
