"""Reader of Reelwright's own manifests: CSV, JSON Lines and YAML."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from db import documents
from db.beneath import S3
from db.errors import InputError, ManifestError
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
_PATHS = frozenset({"uri", "sound", "mask_uri"})
OTHER_PATHS = "Paths were taken without the blanks around them, or with / in place of backslashes, as they lie there"


def recognizes(path: Path) -> ReaderMatch | None:
    """Know a native manifest by its suffix, or else by how it begins."""
    return ReaderMatch(path.parent, (path,)) if path.is_file() and _form(path) is not None else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield the entries of a native manifest in order, and a problem for each line that is none.

    Raises:
        ManifestError: It cannot be read on: no usable header, or broken YAML.
    """
    form = _form(path) or "csv"
    if form == "csv":
        return _read_csv(path, reading)
    return (_read_json_lines if form == "jsonl" else yaml_stream.read)(path, reading.limit_bytes)


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
    names = [name.strip() for name in table.split(start.lower())]
    return "csv" if "uri" in names and all(map(str.isprintable, names)) else None


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


def _read_csv(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    rows = table.rows(path, reading.limit_bytes)
    _, header = next(rows, (1, []))
    if isinstance(header, Problem):
        raise ManifestError(f"{visible(str(path))}: {header.message}")
    names = fields.columns(header, visible(str(path)))
    width = len(names)
    original = cells.original if cells.is_report(names) else str
    for number, row in rows:
        if isinstance(row, Problem):
            yield row
            continue
        values = {name: original(cell) for name, cell in zip(names, row, strict=False) if cell}
        if "".join(row[width:]).strip():
            yield problem(number, "BAD_VALUE", f"Line {number} has {len(row)} cells, the header has {width}")
        elif values.pop("", "").strip():
            yield problem(number, "BAD_VALUE", f"Line {number} has a cell in a column without a name")
        elif any(map(str.strip, values.values())):
            yield ManifestEntry(number, {name: _as_meant(name, value, reading) for name, value in values.items()})


def _as_meant(name: str, value: str, reading: Reading) -> str:
    """Return a cell as its writer meant it: a path that is there once blanks or backslashes are not taken as written.

    Both may stand in names of files, so what is there as it is written comes first.
    """
    if name not in _PATHS or not (value != value.strip() or "\\" in value):
        return value if name in _PATHS else value.strip() or value
    plain = value.strip().replace("\\", "/")
    for form in (value, value.strip(), plain) if reading.check_files and not plain.startswith(S3) else ():
        with suppress(InputError):
            reading.places.status(reading.places.resolve(form))
            if form != value and OTHER_PATHS not in reading.notes:
                reading.notes.append(OTHER_PATHS)
            return form
    return value.strip()
