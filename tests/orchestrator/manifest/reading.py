"""Short ways to read a manifest in a test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from db.recipe import resolve
from db.settings import Settings
from orchestrator import manifest
from orchestrator.manifest import Line

LIMIT_BYTES = 4096
SETTINGS = Settings(max_manifest_line_bytes=LIMIT_BYTES)


def lines_of(path: Path, *, check_files: bool = False, roots: Iterable[Path] = ()) -> list[Line]:
    opened = manifest.open_manifest(path)
    recipe = resolve("identity")
    return list(manifest.lines(opened, recipe, SETTINGS, roots=roots, check_files=check_files))


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def codes(lines: Iterable[Line]) -> list[tuple[int, str]]:
    return [(found.line, found.code) for line in lines for found in line.problems]
