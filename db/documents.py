"""JSON and YAML of unknown origin as plain data: mappings, lists, texts, numbers, true, false and nothing.

Both are read alike: no key stands twice, because one of the two would be lost; no aliases, tags and merges, because
a few lines of them unfold to gigabytes or make objects. Of what YAML 1.1 makes of a bare word only what JSON knows is
left: ``1:30`` is no 90, ``no`` is no false, and a date is a text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container
from contextlib import suppress
from typing import Any

import yaml

MAX_DEPTH = 32
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_BROKEN = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,99})?|\.[0-9]{1,99})([eE][-+]?[0-9]{1,3})?")


class _SlowParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """What reads where PyYAML was built without its library in C."""

    def __init__(self, stream: Any) -> None:
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


_Parser: Any = getattr(yaml.cyaml, "CParser", _SlowParser) if yaml.__with_libyaml__ else _SlowParser


class DocumentError(ValueError):
    """A value is read to its end, and is not plain; what comes behind it can be read."""


class BrokenDocument(ValueError):
    """A text is no JSON or YAML, or too deep, and nothing can be read on."""


class YamlReader:
    """Reads one value of YAML after the other, so that memory holds no more than one of them.

    All methods raise ``BrokenDocument``.
    """

    def __init__(self, stream: Any) -> None:
        """Take a text, or a file of bytes."""
        self._fault = ""
        try:
            self._parser = _Parser(stream)
        except (yaml.YAMLError, ValueError) as error:
            raise BrokenDocument(_one_line(error)) from error

    @property
    def line(self) -> int:
        """Line on which the next event begins, from 1."""
        return int(self._ask(self._parser.peek_event).start_mark.line) + 1

    def is_at(self, *kinds: type[yaml.Event]) -> bool:
        """Whether the next event is of one of the kinds."""
        return isinstance(self._ask(self._parser.peek_event), kinds)

    def step(self) -> Any:
        """Return the next event and go behind it."""
        return self._ask(self._parser.get_event)

    def value(self, typed: Container[str] | None = None, *, in_mapping: bool = False) -> Any:
        """Return the value that comes next, and stand behind it whatever is wrong with it.

        Args:
            typed: Keys below which bare words become numbers, true and false; everywhere else in a mapping they stay
                the text that stands there. None for everywhere.
            in_mapping: Whether the value stands in a mapping that is read key by key.

        Raises:
            DocumentError: It has an alias, a tag, a key twice, or a key that is no text.
        """
        self._fault = ""
        document = self._value(typed, 0, in_mapping=in_mapping)
        if self._fault:
            raise DocumentError(self._fault)
        return document

    def key(self, before: Container[str]) -> str:
        """Return the key that comes next in a mapping that is read key by key; raises as :meth:`value`.

        ``before`` are those that it has already.
        """
        self._fault = ""
        key = self._key(before, 0)
        if self._fault:
            raise DocumentError(self._fault)
        return key

    def close(self) -> None:
        """Let go of the stream."""
        if hasattr(self._parser, "dispose"):
            self._parser.dispose()

    def _value(self, typed: Container[str] | None, depth: int, *, in_mapping: bool = False) -> Any:
        event = self.step()
        if isinstance(event, yaml.AliasEvent):
            return self._refuse("aliases are not allowed", event)
        if event.tag:
            self._refuse("tags are not allowed", event)
        if isinstance(event, yaml.ScalarEvent):
            is_bare = event.implicit[0] and not event.style
            return _meaning(event.value, as_text=in_mapping and typed is not None) if is_bare else event.value
        if depth >= MAX_DEPTH:  # the parser takes a minute to find the end of a hundred thousand levels
            raise BrokenDocument(f"line {event.start_mark.line + 1}: more than {MAX_DEPTH} levels")
        return self._mapping(typed, depth) if isinstance(event, yaml.MappingStartEvent) else self._list(depth)

    def _list(self, depth: int) -> list[Any]:
        values = []
        while not self.is_at(yaml.SequenceEndEvent):
            values.append(self._value(None, depth + 1))
        self.step()
        return values

    def _mapping(self, typed: Container[str] | None, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not self.is_at(yaml.MappingEndEvent):
            key = self._key(values, depth)
            inner = None if typed is None or key in typed else typed
            values[key] = self._value(inner, depth + 1, in_mapping=True)
        self.step()
        return values

    def _key(self, before: Container[str], depth: int) -> str:
        event = self._ask(self._parser.peek_event)
        self._value(None, depth + 1)
        key = event.value if isinstance(event, yaml.ScalarEvent) else ""
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse("a key must be a text", event)
        elif key in before:
            self._refuse(f"the key {key!r:.60} stands twice", event)
        return str(key)

    def _refuse(self, what: str, event: Any) -> None:
        self._fault = self._fault or f"line {event.start_mark.line + 1}: {what}"

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except BrokenDocument:
            raise
        except (yaml.YAMLError, ValueError) as error:
            raise BrokenDocument(_one_line(error)) from error


def from_text(text: str) -> Any:
    """Read JSON, or YAML where it is none; raises as the two."""
    with suppress(BrokenDocument):
        return from_json(text)
    return from_yaml(text)


def from_json(text: str) -> Any:
    """Read JSON.

    Raises:
        BrokenDocument: It is none, or holds NaN, infinity, or a number without end.
        DocumentError: A key stands twice.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise BrokenDocument(_one_line(error)) from error


def from_yaml(text: str) -> Any:
    """Read the one document of a YAML text; nothing for none.

    Raises:
        BrokenDocument: It is no YAML.
        DocumentError: As ``YamlReader.value``, or there are several.
    """
    reader = YamlReader(text)
    try:
        reader.step()  # the stream's start
        if reader.is_at(yaml.StreamEndEvent):
            return None
        reader.step()  # the document's
        document = reader.value()
        reader.step()
        if not reader.is_at(yaml.StreamEndEvent):
            raise DocumentError(f"line {reader.line}: another document begins")
        return document
    finally:
        reader.close()


def check_extent(document: Any, max_values: int, depth: int = MAX_DEPTH) -> int:
    """Count the values in a document and return how many more it might hold.

    Raises:
        DocumentError: It holds more than ``max_values``, or more than ``depth`` levels.
    """
    if depth < 0:
        raise DocumentError(f"more than {MAX_DEPTH} levels")
    left = max_values - 1
    if isinstance(document, dict | list):
        for each in document.values() if isinstance(document, dict) else document:
            left = check_extent(each, left, depth - 1)
    if left < 0:
        raise DocumentError("too many values")
    return left


def _meaning(word: str, *, as_text: bool) -> Any:
    """Return what a bare word stands for."""
    if word in _WORDS:
        return word if as_text and _WORDS[word] is not None else _WORDS[word]
    if as_text:
        return word
    if _WHOLE.fullmatch(word):
        return int(word)
    return float(word) if _BROKEN.fullmatch(word) else word


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise DocumentError(f"the key {twice!r:.60} stands twice")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error) or type(error).__name__
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return f"{where}{' '.join(str(what).split())}"[:300]
