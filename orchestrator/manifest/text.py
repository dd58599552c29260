"""The lines of a file that anybody may have written: bounded and decoded. Used by ``orchestrator.manifest`` alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from db.errors import ManifestError
from orchestrator.manifest.lines import Problem, problem
from orchestrator.spelling import visible

_BOM = b"\xef\xbb\xbf"


def open_bytes(path: Path) -> BinaryIO:
    """Open a manifest for reading.

    Raises:
        ManifestError: It is not there, or may not be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise ManifestError(f"{visible(str(path))}: {error.strerror}") from error


def lines(path: Path, limit_bytes: int) -> Iterator[tuple[int, str | Problem]]:
    """Yield line numbers from 1 and decoded lines with their line ends, or what is wrong with a line.

    A byte order mark is passed over. A line above ``limit_bytes`` is skipped without being held in memory.
    """
    with open_bytes(path) as file:
        if file.read(3) != _BOM:
            file.seek(0)
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
