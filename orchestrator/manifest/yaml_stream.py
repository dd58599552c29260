"""YAML read event by event, so that a million entries need the memory of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from db.documents import BrokenDocument, DocumentError, YamlReader
from db.errors import ManifestError
from orchestrator.manifest import fields
from orchestrator.manifest.lines import ManifestEntry, Problem, made_or_problem, problem
from orchestrator.manifest.text import open_unpacked
from orchestrator.terminal_text import visible

_READ_AHEAD_BYTES = 1 << 17
_TYPED = frozenset({"recipe", "outputs"})
"""Fields in which numbers are numbers; elsewhere they are kept as written: an id of 007 is not 7."""
_ABOVE = frozenset({"recipe", "outputs", "name", "description"})
"""What may stand above ``items``."""
_HALVES = re.compile(
    rb"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})(?:\\u(d[c-f][0-9a-f]{2}))?|"
    rb"(?<!\\)((?:\\\\)*)\\ud[c-f][0-9a-f]{2}",
    re.IGNORECASE,
)
"""A character beyond the first 65,536 as JSON escapes it: in two halves."""
_HALVES_BYTES = 12
_MAX_RUN = 4096
"""Backslashes in a row that are looked back on: whether they are an even number says what the last one means."""
_FIRST_HALF = re.compile(rb"\\u[dD][89aAbB]")
Found = ManifestEntry | Problem


class _Bounded:
    """A file that refuses to give one entry more than its share of bytes."""

    def __init__(self, file: BinaryIO | _JoinedHalves, limit_bytes: int) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._given_bytes = 0

    def read(self, size: int = -1) -> bytes:
        if self._given_bytes > self._limit_bytes + _READ_AHEAD_BYTES:
            raise BrokenDocument(f"an entry has more than {self._limit_bytes} bytes")
        chunk = self._file.read(min(size, _READ_AHEAD_BYTES) if size > 0 else _READ_AHEAD_BYTES)
        self._given_bytes += len(chunk)
        return chunk

    def next_entry(self) -> None:
        self._given_bytes = 0


class _JoinedHalves:
    """A file of JSON with characters in two halves as YAML escapes them; a half alone is none, and is replaced."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._kept = file, b""

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        data = self._kept + chunk
        end = data.find(b"\\", max(0, len(data) - _HALVES_BYTES + 1)) if chunk else -1
        if _FIRST_HALF.match(data, max(0, end - _HALVES_BYTES // 2), max(0, end)):
            end -= _HALVES_BYTES // 2
        first = max(0, end - _MAX_RUN)
        while end > first and data[end - 1 : end] == b"\\":
            end -= 1
        data, self._kept = (data[:end], data[end:]) if end >= 0 else (data, b"")
        joined = _HALVES.sub(_join_halves, data)
        return joined if joined or not chunk else self.read(size)


def _join_halves(match: re.Match[bytes]) -> bytes:
    before, high, low = match[1] or match[4] or b"", match[2], match[3]
    if not (high and low):
        return before + b"\\uFFFD"
    code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00
    return before + b"\\U%08X" % code


def read(path: Path, limit_bytes: int) -> Iterator[Found]:
    """Yield the entries: of a list, of the list under ``items``, or one a document.

    Raises:
        ManifestError: What comes next cannot be read; YAML has no way to find the next entry after an error.
    """
    with _open_stream(path, limit_bytes) as (stream, file):
        stream.step()  # the stream's start
        while not stream.is_at(yaml.StreamEndEvent):
            stream.step()  # the document's start
            if stream.is_at(yaml.SequenceStartEvent):
                yield from _list(stream, file)
            elif stream.is_at(yaml.MappingStartEvent):
                yield from _mapping(stream, file)
            else:
                yield from _entry(stream, file)
            stream.step()  # the document's end


def own_recipe(path: Path, limit_bytes: int) -> Any | None:
    """Return what stands under ``recipe`` above ``items``, as a document that ``db.recipe`` reads; else none.

    Raises:
        ManifestError: The top of the file cannot be read.
    """
    with _open_stream(path, limit_bytes) as (stream, _):
        stream.step()
        if stream.is_at(yaml.StreamEndEvent):
            return None
        stream.step()
        if not stream.is_at(yaml.MappingStartEvent):
            return None
        head: dict[str, Any] = {}
        has_items = any(is_list for is_list in _keys(stream, head))
    return (
        {name: head[name] for name in ("recipe", "outputs") if name in head} if has_items and "recipe" in head else None
    )


@contextmanager
def _open_stream(path: Path, limit_bytes: int) -> Iterator[tuple[YamlReader, _Bounded]]:
    with open_unpacked(path) as raw:
        is_json = path.name.lower().removesuffix(".gz").endswith(".json")
        file = _Bounded(_JoinedHalves(raw) if is_json else raw, limit_bytes)
        stream: YamlReader | None = None
        try:
            stream = YamlReader(file)
            yield stream, file
        except (BrokenDocument, DocumentError) as error:
            raise ManifestError(f"{visible(str(path))}: {visible(str(error))[:300]}") from error
        finally:
            if stream is not None:
                stream.close()


def _mapping(stream: YamlReader, file: _Bounded) -> Iterator[Found]:
    """One entry, unless ``items`` is among its keys: then a head, and entries below."""
    number = stream.line
    head: dict[str, Any] = {}
    has_items = False
    for is_list in _keys(stream, head):
        if is_list:
            has_items = True
            _check_head(head, _ABOVE)
            yield from _list(stream, file)
            head.clear()
    file.next_entry()
    if has_items:
        _check_head(head, _ABOVE - _TYPED)
    elif head:
        yield made_or_problem(number, lambda: fields.entry(number, head))


def _keys(stream: YamlReader, head: dict[str, Any]) -> Iterator[bool]:
    """Read a mapping at the top into ``head``; yields whether the list of ``items`` comes next, for each key."""
    stream.step()
    names: set[str] = set()
    while not stream.is_at(yaml.MappingEndEvent):
        name = stream.key(names)
        names.add(name)
        is_list = name == "items" and stream.is_at(yaml.SequenceStartEvent)
        yield is_list
        if not is_list:
            head[name] = stream.value(None if name in _TYPED else _TYPED, in_mapping=True)
    stream.step()


def _check_head(head: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(head.keys() - known)
    if unknown and unknown[0] in _TYPED:
        raise DocumentError(f"`{unknown[0]}` must stand above `items`: the entries are read before it")
    if unknown:
        raise DocumentError(f"beside `items` only `recipe` and `outputs` may stand, not {unknown[0]!r:.60}")


def _list(stream: YamlReader, file: _Bounded) -> Iterator[Found]:
    start = stream.step()
    if start.anchor or start.tag:
        raise DocumentError(f"line {start.start_mark.line + 1}: anchors and tags are not allowed")
    while not stream.is_at(yaml.SequenceEndEvent):
        yield from _entry(stream, file)
    stream.step()


def _entry(stream: YamlReader, file: _Bounded) -> Iterator[Found]:
    number = stream.line
    try:
        document = stream.value(_TYPED)
    except DocumentError as error:
        yield problem(number, "BAD_VALUE", f"The entry cannot be read: {visible(str(error))[:300]}")
    else:
        if document is not None:
            yield made_or_problem(number, lambda: fields.entry(number, document))
    file.next_entry()
