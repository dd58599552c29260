"""Reader of Reelwright's own manifests: CSV, JSON Lines and YAML. Used by ``orchestrator.manifest`` alone."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.errors import ManifestError
from orchestrator.manifest import fields, text, yaml_stream
from orchestrator.manifest.lines import Entry, Problem, problem
from orchestrator.spelling import visible

_FORMS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "yaml",  # a list in JSON is a list in YAML too, and the YAML reader streams it
}
_SNIFFED_BYTES = 4096


def recognises(path: Path) -> bool:
    """Whether the file is a native manifest, by its suffix or else by how it begins."""
    return path.is_file() and _form(path) is not None


def read(path: Path, limit_bytes: int, notes: list[str]) -> Iterator[Entry | Problem]:
    """Yield the entries of a native manifest in order, and a problem for each line that is none.

    Args:
        path: The manifest.
        limit_bytes: Longest line, or longest entry in YAML.
        notes: Unused: everything in a manifest is an item.

    Raises:
        ManifestError: It cannot be read on: no usable header, or broken YAML.
    """
    readers = {"csv": _read_csv, "jsonl": _read_json_lines, "yaml": yaml_stream.read}
    return readers[_form(path) or "csv"](path, limit_bytes)


def own_recipe(path: Path, limit_bytes: int) -> Any | None:
    """Return the recipe document that a YAML manifest carries above its ``items``; else none."""
    return yaml_stream.own_recipe(path, limit_bytes) if _form(path) == "yaml" else None


def _form(path: Path) -> str | None:
    if path.suffix.lower() in _FORMS:
        return _FORMS[path.suffix.lower()]
    with text.open_bytes(path) as file:
        start = file.read(_SNIFFED_BYTES).decode(errors="replace").lstrip("\ufeff \r\n")
    if start.startswith("{"):
        return "jsonl"
    if start.startswith(("- ", "---", "items:", "recipe:", "[")):
        return "yaml"
    header = start.partition("\n")[0].strip("\r").lower()
    return "csv" if header.replace("\t", " ").isprintable() and "uri" in _split(header, _delimiter(header)) else None


def _read_json_lines(path: Path, limit_bytes: int) -> Iterator[Entry | Problem]:
    for number, line in text.lines(path, limit_bytes):
        if isinstance(line, Problem):
            yield line
            continue
        if not line.strip():
            continue
        try:
            document = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            yield problem(number, "BAD_VALUE", f"Line {number} is not JSON: {visible(str(error))[:200]}")
            continue
        yield fields.entry(number, document)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_csv(path: Path, limit_bytes: int) -> Iterator[Entry | Problem]:
    # A quote that is never closed must not swallow the rest of the manifest into one cell.
    csv.field_size_limit(limit_bytes)
    unreadable: deque[Problem] = deque()
    numbered = _readable(text.lines(path, limit_bytes), unreadable)
    first = next(numbered, "")
    if unreadable:
        raise ManifestError(f"{visible(str(path))}: {unreadable[0].message}")
    delimiter = _delimiter(first)
    names = fields.columns(_split(first, delimiter), visible(str(path)))
    rows = csv.reader(numbered, delimiter=delimiter)
    start, width = 2, len(names)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield problem(
                start, "BAD_VALUE", f"Line {start} is not CSV: {error}", "Look for a quote that is not closed."
            )
            start = rows.line_num + 2
            continue
        number, start = start, rows.line_num + 2
        while unreadable:
            yield unreadable.popleft()
        if len(row) > width:
            yield problem(number, "BAD_VALUE", f"Line {number} has {len(row)} cells, the header has {width}")
        elif row:
            found = {name: cell for name, cell in zip(names, row, strict=False) if cell}
            if found:
                yield Entry(number, found)
    yield from unreadable


def _readable(lines: Iterator[tuple[int, str | Problem]], unreadable: deque[Problem]) -> Iterator[str]:
    """Pass on good lines; an empty one keeps the count of lines where there was a bad one."""
    for _, line in lines:
        if isinstance(line, Problem):
            unreadable.append(line)
            yield "\n"
        else:
            yield line


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _split(header: str, delimiter: str) -> list[str]:
    return next(csv.reader([header.strip("\r\n")], delimiter=delimiter), [])
