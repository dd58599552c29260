"""Tags of TIFF files, classic and big, of both byte orders: the source's into what was made of it, page by page.

 A written file's directories keep what says how its samples are stored; everything else in
them is replaced by what the source's have, EXIF, GPS and makers' own tags among it. New directories go behind the file,
and the header points at them: no sample moves.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAX_TAGS, MAX_PAGES = 4096, 10_000
"""Of a directory, and directories of a file."""
MAX_BYTES, MAX_ENTRIES = 64 << 20, 500_000
"""Values and tags of a whole file, all pages together; a place that many tags point at counts once."""
_COUNTED_PAGES = 1_000_000
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value, by its type."""
_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes that are turned round together in the other byte order."""
_LONG, _LONG8 = 4, 16
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
_INNER = (_EXIF, _GPS, _INTEROP)
_ORIENTATION, _ICC, _SUB_PICTURES = 274, 34675, 330
# How samples are stored, or true of the source's own way of storing them alone.
_STRUCTURE = {
    *range(254, 260), *range(262, 267), 273, _ORIENTATION, *range(277, 282), 284, *range(288, 294), 317,
    *range(320, 326),
    *range(332, 335), 336, *range(338, 342), 347, *range(512, 522), *range(529, 533), _ICC, _SUB_PICTURES,
}  # fmt: skip
_OF_SIZE = (0xA002, 0xA003)
"""EXIF's width and height of the picture."""


@dataclass(frozen=True)
class TagEntry:
    """One tag's value."""

    type: int
    count: int
    body: bytes
    """In the byte order that was asked for."""


Tags = Mapping[int, "TagEntry | Tags"]
"""A directory; EXIF, GPS and interoperability are directories in it."""


def copy_tags(source: Path, target: Path) -> tuple[str, ...]:
    """Give ``target``'s pages the tags of ``source``'s, in place.

    Returns:
        Notes on what was not kept.

    Raises:
        ValueError: One of the files is damaged, or holds too much; ``target`` is untouched.
    """
    with source.open("rb") as old, target.open("r+b") as new:
        source_file, target_file = _TiffFile(old), _TiffFile(new)
        target_pages = target_file.pages(target_file.order)
        source_pages = source_file.pages(target_file.order)
        if target_file.left_out:  # how its samples are stored may be among it
            raise ValueError("a written file of too many tags")
        new_pages = []
        for target_tags, source_tags in zip(target_pages, source_pages, strict=False):
            structure = {tag: entry for tag, entry in target_tags.items() if tag in _STRUCTURE}
            tags_to_copy = _without_size(target_tags, source_tags)
            new_pages.append(
                {**{tag: entry for tag, entry in tags_to_copy.items() if tag not in _STRUCTURE}, **structure}
            )
        target_file.append(new_pages)
    count = len(source_file.left_out)
    return (f"{count} of the source's tags hold too much together and were left out.",) if count else ()


def page_count(path: Path) -> int:
    """Return how many directories follow one another, at most a million; raises ``ValueError`` for a damaged file."""
    with path.open("rb") as file:
        return _TiffFile(file).page_count()


def with_orientation(body: bytes, orientation: int) -> bytes:
    """Return EXIF as it stands in PNG, with another orientation where it has one."""
    order = {b"II": "<", b"MM": ">"}.get(body[:2])
    if order is None:
        raise ValueError("no byte order")
    (at,) = struct.unpack_from(f"{order}I", body, 4)
    (count,) = struct.unpack_from(f"{order}H", body, at)
    for number in range(min(count, MAX_TAGS)):
        place = at + 2 + 12 * number
        if struct.unpack_from(f"{order}HH", body, place) == (_ORIENTATION, 3):
            return body[: place + 8] + struct.pack(f"{order}H", orientation) + body[place + 10 :]
    return body


def _without_size(target_tags: Tags, source_tags: Tags) -> Tags:
    """Leave out EXIF's size of the picture where a step has changed it."""
    exif = source_tags.get(_EXIF)
    unlike = any(_number(target_tags.get(tag)) != _number(source_tags.get(tag)) for tag in (256, 257))
    if not unlike or not isinstance(exif, Mapping):
        return source_tags
    return {**source_tags, _EXIF: {tag: entry for tag, entry in exif.items() if tag not in _OF_SIZE}}


def _number(entry: TagEntry | Tags | None) -> bytes:
    # Leading or trailing zeros tell a short from a long, not one number from another.
    return entry.body.strip(b"\0") if isinstance(entry, TagEntry) else b""


def _swap_bytes(type_: int, body: bytes) -> bytes:
    unit = _UNITS.get(type_, 1)
    return np.frombuffer(body, f"u{unit}").byteswap().tobytes() if unit > 1 else body


class _TiffFile:
    """A TIFF file that is open."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._size = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order:
            raise ValueError("no byte order")
        self.big = struct.unpack_from(f"{self.order}H", head, 2)[0] == 43
        self.word = 8 if self.big else 4
        self._code = f"{self.order}{'Q' if self.big else 'I'}"
        (self.first,) = struct.unpack_from(self._code, head, 8 if self.big else 4)

        self.left_out: set[tuple[int, int]] = set()
        """Places and sizes of values for which there was no room."""
        self._bodies: dict[tuple[int, int, int], bytes] = {}
        self._room, self._entries, self._turn = MAX_BYTES, MAX_ENTRIES, False

    def pages(self, order: str) -> list[Tags]:
        """Read the directories of the chain, up to the most that is read; values come in the byte order ``order``."""
        self._turn = order != self.order
        directories: list[Tags] = []
        at, offsets = self.first, set[int]()
        while at and len(directories) < MAX_PAGES:
            if at in offsets:
                raise ValueError("directories without end")
            offsets.add(at)
            tags, at = self._read_directory(at)
            directories.append(tags)
        return directories

    def page_count(self) -> int:
        """Follow the chain without reading what the directories hold."""
        at, offsets = self.first, set[int]()
        while at and at not in offsets and len(offsets) < _COUNTED_PAGES:
            offsets.add(at)
            self._seek(at)
            count = self._read(f"{self.order}{'Q' if self.big else 'H'}")
            self._seek(self.file.tell() + count * (20 if self.big else 12))
            at = self._read(self._code)
        return len(offsets)

    def _read_directory(self, at: int, depth: int = 0) -> tuple[Tags, int]:
        self._seek(at)
        count = self._read(f"{self.order}{'Q' if self.big else 'H'}")
        self._entries -= count
        if count > MAX_TAGS or self._entries < 0:
            raise ValueError("too many tags")
        shape = f"{self.order}HH{'Q8s' if self.big else 'I4s'}"
        rows = [struct.unpack(shape, self._read_bytes(struct.calcsize(shape))) for _ in range(count)]
        following = self._read(self._code)
        entries: dict[int, TagEntry | Tags] = {}
        for tag, type_, many, value in rows:
            size = _SIZES.get(type_, 0) * many
            if tag in _INNER and many == 1 and 0 < size <= self.word:
                if depth < 2:
                    inner = self._offset(value) if size == self.word else self._short_offset(type_, value)
                    entries[tag], _ = self._read_directory(inner, depth + 1)
            elif size and (body := self._body(type_, size, value)) is not None:
                entries[tag] = TagEntry(type_, many, body)
        return entries, following

    def _body(self, type_: int, size: int, value: bytes) -> bytes | None:
        """Return a tag's value from its field or from where that points; none where there is no room for it."""
        if size <= self.word:
            return _swap_bytes(type_, value[:size]) if self._turn else value[:size]
        at = self._offset(value)
        key = (at, size, _UNITS.get(type_, 1) if self._turn else 1)
        if key not in self._bodies:
            if size > self._room:
                self.left_out.add((at, size))
                return None
            self._room -= size
            self._seek(at)
            body = self._read_bytes(size)
            self._bodies[key] = _swap_bytes(type_, body) if self._turn else body
        return self._bodies[key]

    def _offset(self, value: bytes) -> int:
        return int(struct.unpack(self._code, value)[0])

    def append(self, pages: Sequence[Tags]) -> None:
        """Write directories behind the file, one pointing at the next, and point the header at the first."""
        link = 8 if self.big else 4
        places: dict[bytes, int] = {}
        for tags in pages:
            at, place = self._write_directory(tags, places)
            self.file.seek(link)
            self.file.write(struct.pack(self._code, at))
            link = place
        self.file.seek(0, 2)
        if not self.big and self.file.tell() > 2**32:
            raise ValueError("a classic TIFF file that is full")

    def _write_directory(self, tags: Tags, places: dict[bytes, int]) -> tuple[int, int]:
        """Write a directory; returns where it is, and where the place of the next one goes.

        ``places`` says where long values stand already: many pages may have the same.
        """
        rows = []
        for tag, entry in sorted(tags.items()):
            if isinstance(entry, TagEntry) and entry.type >= _LONG8 and not self.big:
                continue  # classic files know no such values
            if isinstance(entry, Mapping):
                inner, _ = self._write_directory(entry, places)
                entry = TagEntry(_LONG8 if self.big else _LONG, 1, struct.pack(self._code, inner))
            field = entry.body.ljust(self.word, b"\0")
            if len(field) > self.word:
                if entry.body not in places:
                    self._seek_to_end()
                    places[entry.body] = self.file.tell()
                    self.file.write(entry.body)
                field = struct.pack(self._code, places[entry.body])
            rows.append(struct.pack(f"{self.order}HH", tag, entry.type) + struct.pack(self._code, entry.count) + field)
        self._seek_to_end()
        at = self.file.tell()
        self.file.write(struct.pack(f"{self.order}{'Q' if self.big else 'H'}", len(rows)) + b"".join(rows))
        place = self.file.tell()
        self.file.write(struct.pack(self._code, 0))
        return at, place

    def _seek(self, at: int) -> None:
        if at >= self._size:
            raise ValueError("a place behind its file")
        self.file.seek(at)

    def _seek_to_end(self) -> None:
        self.file.seek(0, 2)
        self.file.write(bytes(-self.file.tell() % 8))

    def _short_offset(self, type_: int, field: bytes) -> int:
        code = {3: "H", 4: "I", 13: "I"}.get(type_)
        if code is None:
            raise ValueError("a directory's place of a strange type")
        return int(struct.unpack_from(f"{self.order}{code}", field)[0])

    def _read(self, code: str) -> int:
        return int(struct.unpack(code, self._read_bytes(struct.calcsize(code)))[0])

    def _read_bytes(self, size: int) -> bytes:
        body = self.file.read(size)
        if len(body) != size:
            raise ValueError("a tag longer than its file")
        return body
