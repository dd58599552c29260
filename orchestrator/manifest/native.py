"""Reader of Reelwright's own manifests: CSV, JSON Lines and YAML."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from db import documents
from db.errors import ManifestError
from orchestrator.manifest import cells, fields, table, text, yaml_stream
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, made_or_problem, problem
from orchestrator.terminal_text import visible

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


def recognizes(path: Path) -> ReaderMatch | None:
    """Know a native manifest by its suffix, or else by how it begins."""
    return ReaderMatch(path.parent, (path,)) if path.is_file() and _form(path) is not None else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield the entries of a native manifest in order, and a problem for each line that is none.

    Raises:
        ManifestError: It cannot be read on: no usable header, or broken YAML.
    """
    readers = {"csv": _read_csv, "jsonl": _read_json_lines, "yaml": yaml_stream.read}
    return readers[_form(path) or "csv"](path, reading.limit_bytes)


def own_recipe(path: Path, limit_bytes: int) -> Any | None:
    """Return the recipe document that a YAML manifest carries above its ``items``; else none."""
    return yaml_stream.own_recipe(path, limit_bytes) if _form(path) == "yaml" else None


def _form(path: Path) -> str | None:
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if suffix.lower() in _FORMS:
        return _FORMS[suffix.lower()]
    start = text.start(path, _SNIFFED_BYTES).lstrip("\ufeff \r\n")
    if start.startswith("{"):
        return "jsonl"
    if start.startswith(("- ", "---", "items:", "recipe:", "[")):
        return "yaml"
    header = start.partition("\n")[0].strip("\r").lower()
    return "csv" if header.replace("\t", " ").isprintable() and "uri" in table.split(header) else None


def _read_json_lines(path: Path, limit_bytes: int) -> Iterator[ManifestEntry | Problem]:
    for number, line in text.lines(path, limit_bytes):
        if isinstance(line, Problem):
            yield line
            continue
        if not line.strip():
            continue
        yield made_or_problem(number, partial(_json_entry, number, line))


def _json_entry(number: int, line: str) -> ManifestEntry | Problem:
    try:
        return fields.entry(number, documents.from_json(line))
    except documents.BrokenDocument as error:
        return problem(number, "BAD_VALUE", f"Line {number} is not JSON: {visible(str(error))[:200]}")
    except documents.DocumentError as error:
        return problem(number, "BAD_VALUE", f"Line {number}: {visible(str(error))[:200]}")


def _read_csv(path: Path, limit_bytes: int) -> Iterator[ManifestEntry | Problem]:
    rows = table.rows(path, limit_bytes)
    _, header = next(rows, (1, []))
    if isinstance(header, Problem):
        raise ManifestError(f"{visible(str(path))}: {header.message}")
    names = fields.columns(header, visible(str(path)))
    width = len(names)
    original = cells.original if cells.is_report(names) else str
    for number, row in rows:
        if isinstance(row, Problem):
            yield row
        elif len(row) > width:
            yield problem(number, "BAD_VALUE", f"Line {number} has {len(row)} cells, the header has {width}")
        else:
            values = {name: original(cell) for name, cell in zip(names, row, strict=False) if cell}
            if values:
                yield ManifestEntry(number, values)
