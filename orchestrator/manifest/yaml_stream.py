"""YAML read event by event, so that a million entries need the memory of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from db.errors import ManifestError
from orchestrator.manifest import fields
from orchestrator.manifest.lines import ManifestEntry, Problem
from orchestrator.manifest.text import open_unpacked
from orchestrator.terminal_text import visible

MAX_DEPTH = 32
_READ_AHEAD_BYTES = 1 << 17
_Parser: Any = getattr(yaml.cyaml, "CParser", None) if yaml.__with_libyaml__ else None


class _Bounded:
    """A file that refuses to give one entry more than its share of bytes."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._given_bytes = 0

    def read(self, size: int = -1) -> bytes:
        if self._given_bytes > self._limit_bytes + _READ_AHEAD_BYTES:
            raise yaml.YAMLError(f"an entry has more than {self._limit_bytes} bytes")
        chunk = self._file.read(min(size, _READ_AHEAD_BYTES) if size > 0 else _READ_AHEAD_BYTES)
        self._given_bytes += len(chunk)
        return chunk

    def next_entry(self) -> None:
        self._given_bytes = 0


class _PlainComposer(Composer):
    """Builds one node at a time; no aliases, no tags, no deep nests."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not allowed", event)
        if getattr(event, "tag", None):
            raise _refusal("tags are not allowed", event)
        if self._depth >= MAX_DEPTH:
            raise _refusal(f"more than {MAX_DEPTH} levels", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


if _Parser is not None:

    class _Stream(_PlainComposer, _Parser, SafeConstructor, Resolver):  # type: ignore[misc]
        """Composer in Python over the parser in C: the parser is what costs the time."""

        def __init__(self, file: _Bounded) -> None:
            _Parser.__init__(self, file)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

else:  # pragma: no cover -- PyYAML built without libyaml

    class _Stream(_PlainComposer, yaml.SafeLoader):  # type: ignore[no-redef]
        """The same in Python alone."""

        def __init__(self, file: _Bounded) -> None:
            yaml.SafeLoader.__init__(self, file)


def read(path: Path, limit_bytes: int) -> Iterator[ManifestEntry | Problem]:
    """Yield the entries: of a list, of the list under ``items``, or one a document.

    Raises:
        ManifestError: What comes next cannot be read; YAML has no way to find the next entry after an error.
    """
    with _open_stream(path, limit_bytes) as (stream, file):
        for number, document in _documents(stream, file):
            yield fields.entry(number, document)


def own_recipe(path: Path, limit_bytes: int) -> Any | None:
    """Return what stands under ``recipe`` above ``items``, as a document that ``db.recipe`` reads; else none.

    Raises:
        ManifestError: The top of the file cannot be read.
    """
    with _open_stream(path, limit_bytes) as (stream, _):
        head = dict(_head_items(stream))
    return {name: head[name] for name in ("recipe", "outputs") if name in head} if "recipe" in head else None


@contextmanager
def _open_stream(path: Path, limit_bytes: int) -> Iterator[tuple[Any, _Bounded]]:
    with open_unpacked(path) as raw:
        file = _Bounded(raw, limit_bytes)
        stream: Any = None
        try:
            stream = cast(Any, _Stream)(file)
            yield stream, file
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ManifestError(f"{visible(str(path))}: {_one_line(error)}") from error
        finally:
            if stream is not None:
                stream.dispose()


def _documents(stream: Any, file: _Bounded) -> Iterator[tuple[int, Any]]:
    stream.get_event()  # the stream's start
    while not stream.check_event(yaml.StreamEndEvent):
        stream.get_event()  # the document's start
        if stream.check_event(yaml.SequenceStartEvent):
            yield from _list(stream, file)
        elif stream.check_event(yaml.MappingStartEvent):
            yield from _mapping(stream, file)
        else:
            yield from _entry(stream, file)
        stream.get_event()  # the document's end


def _mapping(stream: Any, file: _Bounded) -> Iterator[tuple[int, Any]]:
    """One entry, unless ``items`` is among its keys: then a head, and entries below."""
    number = stream.get_event().start_mark.line + 1
    head: dict[str, Any] = {}
    has_items = False
    while not stream.check_event(yaml.MappingEndEvent):
        name = _value(stream)
        if name == "items" and stream.check_event(yaml.SequenceStartEvent):
            has_items = True
            yield from _list(stream, file)
        else:
            head[str(name)] = _value(stream)
    stream.get_event()
    file.next_entry()
    if has_items:
        _check_head(head)
    elif head:
        yield number, head


def _check_head(head: dict[str, Any]) -> None:
    unknown = sorted(set(head) - {"recipe", "outputs", "name", "description"})
    if unknown:
        raise yaml.YAMLError(f"beside `items` only `recipe` and `outputs` may stand, not {unknown[0]!r:.60}")


def _head_items(stream: Any) -> Iterator[tuple[str, Any]]:
    stream.get_event()
    if stream.check_event(yaml.StreamEndEvent):
        return
    stream.get_event()
    if not stream.check_event(yaml.MappingStartEvent):
        return
    stream.get_event()
    head: dict[str, Any] = {}
    while not stream.check_event(yaml.MappingEndEvent):
        name = str(_value(stream))
        if name == "items":
            yield from head.items()
            return
        head[name] = _value(stream)


def _list(stream: Any, file: _Bounded) -> Iterator[tuple[int, Any]]:
    start = stream.get_event()
    if start.anchor or start.tag:
        raise _refusal("anchors and tags are not allowed", start)
    while not stream.check_event(yaml.SequenceEndEvent):
        yield from _entry(stream, file)
    stream.get_event()


def _entry(stream: Any, file: _Bounded) -> Iterator[tuple[int, Any]]:
    number = stream.peek_event().start_mark.line + 1
    document = _value(stream)
    file.next_entry()
    if document is not None:
        yield number, document


def _value(stream: Any) -> Any:
    node = stream.compose_node(None, None)
    _as_written(node)
    # Anchors are kept by name for aliases, and there are no aliases.
    stream.anchors.clear()
    return stream.construct_document(node)


def _as_written(node: yaml.Node) -> None:
    """Keep numbers and dates as the text that stands there: an id of 007 is not 7. Recipes need their numbers."""
    for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(value, yaml.ScalarNode) and value.tag.endswith((":int", ":float", ":timestamp")):
            value.tag = "tag:yaml.org,2002:str"
        elif name.value not in ("recipe", "outputs"):
            _as_written(value)


def _refusal(what: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error) or type(error).__name__
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return visible(where + " ".join(str(what).split()))[:300]
