"""Short ways to read a manifest in a test."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from db.errors import ManifestError
from db.recipe import resolve
from db.settings import Settings
from orchestrator import manifest
from orchestrator.manifest import Line

LIMIT_BYTES = 4096
SETTINGS = Settings(max_manifest_line_bytes=LIMIT_BYTES)


def lines_of(path: Path, *, check_files: bool = False, roots: Iterable[object] = ("s3://",)) -> list[Line]:
    return read(path, check_files=check_files, roots=roots)[0]


def read(
    path: Path | str, settings: Settings = SETTINGS, *, check_files: bool = False, roots: Iterable[object] = ("s3://",)
) -> tuple[list[Line], list[str]]:
    """Return a manifest's lines, and what the reader notes besides."""
    opened = manifest.open_manifest(path)
    found = manifest.lines(opened, resolve("identity"), settings, roots=tuple(map(str, roots)), check_files=check_files)
    return list(found), opened.notes


def refused(path: Path | str, settings: Settings = SETTINGS, *, check_files: bool = True) -> str:
    """Return the code with which a whole manifest is refused."""
    with pytest.raises(ManifestError) as caught:
        read(path, settings, check_files=check_files)
    return caught.value.code


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def bury(folder: Path, name: str) -> None:
    """Put a file so deep that its path has more than 4096 bytes, which no folder above can list."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(18):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        Path(name).write_bytes(b"x")
    finally:
        os.chdir(here)


def codes(lines: Iterable[Line]) -> list[tuple[int, str]]:
    return [(found.line, found.code) for line in lines for found in line.problems]
