"""Reads sets of references: a folder, a pattern, a manifest, tar shards, one file.

Nothing is decoded here but a film's frames one by one. What has an output is found by its id: a file's path in the
folder without its suffix, what the star of a pattern stands for, a manifest's ``id``, a shard member's name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from db import beneath
from db.beneath import Roots
from db.errors import InputError
from db.settings import Settings
from workers.media import pixels, planes
from workers.media.film import container
from workers.media.film import scan as film_scan
from workers.media.local import hold
from workers.media.source import check_file
from workers.media.stills import files as stills
from workers.ops import likeness, shards

Levels = NDArray[np.uint8]

_STILLS = frozenset({
    ".bmp", ".dpx", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
_FILMS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mxf", ".webm", ".wmv", ".y4m"})
_REFERENCE = ("reference", "path", "source", "file", "filename")
"""Columns of a manifest that may name the reference; the first that is there counts."""
_MOST_MEMBER_BYTES = 200_000_000


@dataclass(frozen=True)
class MediaLocation:
    """Where one file lies: by itself, or inside a shard."""

    path: Path
    roots: Roots | None = None
    """What it must lie beneath; none for our own."""
    start: int = 0
    count: int | None = None
    """Bytes of a shard's member; none means the whole file."""
    suffix: str = ""
    """The member's suffix."""

    def __str__(self) -> str:
        """Name it for a message."""
        return str(self.path)

    @property
    def is_film(self) -> bool:
        """Whether it is called as films are."""
        return (self.suffix or self.path.suffix).lower() in _FILMS


@dataclass(frozen=True)
class ReferenceEntry:
    """One reference, and what the model is given for it."""

    id: str
    reference: MediaLocation
    given: MediaLocation | None = None
    """The input, where it is not made of the reference."""


def reference_entries(
    source: str, inputs: str | None = None, *, source_roots: Iterable[str] = ()
) -> list[ReferenceEntry]:
    """Return the references of a set, each with its input where ``inputs`` is another set.

    Each must lie beneath its set's own folder or one of ``source_roots``; what does not is refused when it is read.

    Raises:
        InputError: ``FILE_MISSING``, ``MANIFEST_UNREADABLE``, ``MANIFEST_EMPTY``, ``DUPLICATE_ID``, or
            ``OUTPUT_MISSING`` when none of the ids is in both sets.
    """
    entries = _entries(source, source_roots)
    if not entries:
        raise InputError(f"{source}: there are no pictures or films in it", code="MANIFEST_EMPTY")
    _check_ids(source, entries)
    if inputs is None:
        return entries
    input_entries = _entries(inputs, source_roots)
    _check_ids(inputs, input_entries)
    by_id = {each.id: each.reference for each in input_entries}
    if not by_id.keys() & {entry.id for entry in entries}:
        ids = (
            f"{entries[0].id!r:.100} and the like, {input_entries[0].id!r:.100} and the like"
            if input_entries
            else "none"
        )
        raise InputError(f"{source} and {inputs} have no id in common ({ids})", code="OUTPUT_MISSING", remedy=_PATTERN)
    return [replace(entry, given=by_id.get(entry.id)) for entry in entries]


_PATTERN = "Give both sets the same names, or patterns with one star each: 'set/*_HR.png', 'set/*_LR.png'."


def id_without_suffix(name: str) -> str:
    """Return an id without the suffix of a picture or film at its end: job items keep theirs."""
    path = PurePath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _STILLS | _FILMS else name


def read_picture(place: MediaLocation, settings: Settings, scratch: Path) -> Levels:
    """Return a picture, 8-bit ``(H, W, 3)`` sRGB or ``(H, W, 1)`` grey, upright.

    Raises:
        InputError: ``FILE_MISSING``, ``ZERO_BYTE``, ``UNKNOWN_FORMAT``, ``CORRUPT``, ``TRUNCATED``, ``TOO_LARGE`` …
    """
    path = _hold(place, scratch) if place.count is None else _extract_member(place, scratch)
    stills.header(path, settings)
    return to_levels(stills.to_picture(stills.read(path, settings)))


def read_frames(place: MediaLocation, settings: Settings, scratch: Path) -> Iterator[Levels]:
    """Yield the frames of a film in order, as :func:`read_picture` does; raises alike, and where a frame is damaged."""
    damages: list[str] = []
    with container.open_film(_hold(place, scratch), max_pixels=settings.max_pixels) as (film, stream):
        for frame in container.frames(film, stream, damages.append):
            if damages:
                break
            layout = film_scan.layout_of(frame, stream.codec_context.name, str(place))
            yield to_levels(pixels.to_picture(planes.to_planes(frame, layout), layout))
    if damages:
        raise InputError(f"{place}: {damages[0]}", code="CORRUPT")


def to_levels(planes: NDArray[np.float32]) -> Levels:
    """Return ``(H, W, C)`` 8-bit numbers of a picture ``(C, H, W)`` of 0..1, clipped and rounded."""
    return np.ascontiguousarray(likeness.levels(planes.transpose(1, 2, 0)))


def resize_square(picture: Levels, side_px: int) -> Levels:
    """Return a picture stretched to a square, by areas where it shrinks."""
    if picture.shape[:2] == (side_px, side_px):
        return picture
    shrinks = min(picture.shape[:2]) >= side_px
    output = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(output.reshape(side_px, side_px, -1), np.uint8)


# -- the kinds of sets


def _entries(source: str, source_roots: Iterable[str]) -> list[ReferenceEntry]:
    path = Path(source)
    roots = beneath.real_roots((str(path if path.is_dir() else path.parent), *source_roots))
    if "*" in path.name and not path.exists():
        return _pattern_entries(path, roots)
    if path.is_dir():
        shard_paths = sorted(path.glob("*.tar"))
        return (
            [entry for shard in shard_paths for entry in _shard_entries(shard, roots)]
            if shard_paths
            else _folder_entries(path, roots)
        )
    if not path.is_file():
        raise InputError(f"{source}: there is no such file or folder", code="FILE_MISSING")
    if path.suffix.lower() == ".tar":
        return _shard_entries(path, roots)
    if path.suffix.lower() in _STILLS | _FILMS:
        return [ReferenceEntry(path.stem, MediaLocation(path, roots))]
    return _manifest_entries(path, roots)


def _folder_entries(folder: Path, roots: Roots) -> list[ReferenceEntry]:
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in _STILLS | _FILMS and each.is_file())
    names = [each.relative_to(folder).with_suffix("").as_posix() for each in files]
    return [ReferenceEntry(name, MediaLocation(each, roots)) for name, each in zip(names, files, strict=True)]


def _pattern_entries(pattern: Path, roots: Roots) -> list[ReferenceEntry]:
    before, _, after = pattern.name.partition("*")
    if "*" in after or not pattern.parent.is_dir():
        raise InputError(f"{pattern}: a pattern has one star, in a folder that is there", code="FILE_MISSING")
    names = sorted(each.name for each in pattern.parent.glob(pattern.name) if each.is_file())
    if names and all(name.lower().endswith(".tar") for name in names):
        return [entry for name in names for entry in _shard_entries(pattern.parent / name, roots)]
    return [
        ReferenceEntry(name[len(before) : len(name) - len(after)], MediaLocation(pattern.parent / name, roots))
        for name in names
    ]


def _shard_entries(shard: Path, roots: Roots) -> list[ReferenceEntry]:
    try:
        members = shards.members(shard, _STILLS)
    except ValueError as error:
        raise InputError(f"{shard}: no tar shard of pictures ({error})", code="MANIFEST_UNREADABLE") from error
    return [
        ReferenceEntry(
            str(PurePath(each.name).with_suffix("")),
            MediaLocation(shard, roots, each.start, each.count, PurePath(each.name).suffix),
        )
        for each in members
    ]


def _manifest_entries(manifest: Path, roots: Roots) -> list[ReferenceEntry]:
    try:
        lines = manifest.read_text("utf-8-sig").splitlines()
        if manifest.suffix.lower() in {".jsonl", ".ndjson"}:
            rows = [json.loads(line) for line in lines if line.strip()]
        else:
            rows = list(csv.DictReader(lines))
        return [_manifest_entry(row, manifest.parent, roots) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, csv.Error) as error:
        message = f"{manifest}: no manifest of references; it wants one of the columns {', '.join(_REFERENCE)}"
        raise InputError(message, code="MANIFEST_UNREADABLE") from error


def _manifest_entry(row: dict[str, str], folder: Path, roots: Roots) -> ReferenceEntry:
    column = next((name for name in _REFERENCE if row.get(name)), None)
    if column is None:
        raise KeyError("no reference")
    name, input_path = str(row[column]), row.get("input")
    return ReferenceEntry(
        str(row.get("id") or id_without_suffix(name)),
        MediaLocation(folder / name, roots),
        MediaLocation(folder / input_path, roots) if input_path else None,
    )


def _check_ids(source: str, entries: Sequence[ReferenceEntry]) -> None:
    ids: set[str] = set()
    for entry in entries:
        if entry.id in ids:
            raise InputError(f"{source}: two references have the id {entry.id!r:.200}", code="DUPLICATE_ID")
        ids.add(entry.id)


def _hold(place: MediaLocation, scratch: Path) -> Path:
    path = hold(place.path, place.roots, scratch)
    check_file(path)
    return path


def _extract_member(place: MediaLocation, scratch: Path) -> Path:
    assert place.count is not None
    if place.count > _MOST_MEMBER_BYTES:
        raise InputError(f"{place}: a member of {place.count:,} bytes", code="TOO_LARGE")
    try:
        with _hold(place, scratch).open("rb") as file:
            file.seek(place.start)
            data = file.read(place.count)
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror})", code="FILE_MISSING") from error
    if len(data) < place.count:
        raise InputError(f"{place}: the shard is cut off", code="TRUNCATED")
    path = scratch / f"member{place.suffix.lower()}"
    path.write_bytes(data)
    return path
