"""The lines of a file that anybody may have written: bounded and decoded."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from db.errors import ManifestError
from orchestrator.manifest.lines import Problem, problem
from orchestrator.terminal_text import visible

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


def open_bytes(path: Path) -> BinaryIO:
    """Open a manifest for reading.

    Raises:
        ManifestError: It is not there, or may not be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise ManifestError(f"{visible(str(path))}: {error.strerror}") from error


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a manifest that may be packed with gzip; a byte order mark is passed over.

    Raises:
        ManifestError: It is not there, may not be read, or cannot be unpacked to the end.
    """
    with open_bytes(path) as raw:
        try:
            is_packed = raw.read(2) == _GZIP
            raw.seek(0)
            file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_packed else raw
            if file.read(3) != _BOM:
                file.seek(0)
            yield file
        except (EOFError, zlib.error, OSError) as error:
            raise ManifestError(f"{visible(str(path))} cannot be read to the end: {visible(str(error))}") from error


def start(path: Path, limit_bytes: int) -> str:
    """Return how a manifest begins; nothing for what cannot be opened or unpacked."""
    try:
        with open_unpacked(path) as file:
            return file.read(limit_bytes).decode(errors="replace")
    except ManifestError:
        return ""


def lines(path: Path, limit_bytes: int) -> Iterator[tuple[int, str | Problem]]:
    """Yield line numbers from 1 and decoded lines with their line ends, or what is wrong with a line.

    A line above ``limit_bytes`` is skipped without being held in memory.

    Raises:
        ManifestError: As :func:`open_unpacked`.
    """
    with open_unpacked(path) as file:
        number = 0
        while raw := file.readline(limit_bytes + 1):
            number += 1
            if len(raw) > limit_bytes and not raw.endswith(b"\n"):
                _skip_line(file, limit_bytes)
                yield number, problem(number, "BAD_VALUE", f"Line {number} has more than {limit_bytes} bytes")
                continue
            try:
                yield number, raw.decode()
            except UnicodeDecodeError as error:
                message = f"Line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"
                yield number, problem(number, "BAD_VALUE", message, "Save the manifest as UTF-8.")


def _skip_line(file: BinaryIO, limit_bytes: int) -> None:
    while (raw := file.readline(limit_bytes)) and not raw.endswith(b"\n"):
        pass
