"""The lines of a file that anybody may have written: bounded and decoded."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from db.errors import ManifestError
from orchestrator.manifest.lines import Problem, problem
from orchestrator.terminal_text import visible

_BOM = b"\xef\xbb\xbf"
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_LOOKED_AT_BYTES = 4096
_GZIP = b"\x1f\x8b"
_FREE_BYTES = 64 << 20
_MAX_RATIO = 250
_MAX_UNPACKED_BYTES = 64 << 30
"""What packed text may become: tables shrink to a twentieth or fiftieth, a bomb to a thousandth."""
_MAX_EMPTY_LINES = 1_000_000
"""In a row: a packed file of a few kilobytes can hold more than anybody would wait for."""


class _Unpacked(io.RawIOBase):
    """What a gzip file unfolds to, as far as that is in proportion to it."""

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        self._path = path
        self._file = gzip.GzipFile(fileobj=raw)
        packed_bytes = os.fstat(raw.fileno()).st_size
        self._left_bytes = min(_FREE_BYTES + _MAX_RATIO * packed_bytes, _MAX_UNPACKED_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            message = f"{visible(str(self._path))} unfolds to far more than a table does"
            raise ManifestError(message, remedy="Unpack it, and give the plain file.")
        buffer[: len(data)] = data
        return len(data)


class _Plain(io.RawIOBase):
    """Text as UTF-8 with line feeds, of what a spreadsheet wrote in UTF-16, or with carriage returns alone."""

    def __init__(self, file: BinaryIO, encoding: str, returns: bool) -> None:
        self._file, self._decoder = (
            file,
            codecs.getincrementaldecoder(encoding)("surrogateescape" if returns else "replace"),
        )
        self._returns, self._rest = returns, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and (data := self._file.read(_LOOKED_AT_BYTES)):
            text = self._decoder.decode(data)
            text = text.replace("\r", "\n") if self._returns else text
            self._rest = text.encode(errors="surrogateescape")
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _as_plain(file: Any) -> BinaryIO:
    """Return a file from behind its byte order mark on, in UTF-8 and with line feeds."""
    head = file.peek(_LOOKED_AT_BYTES)[:_LOOKED_AT_BYTES]
    encoding = _UTF16.get(head[:2], "utf-8")
    if encoding != "utf-8":
        file.read(2)
        file = io.BufferedReader(_Plain(file, encoding, returns=False))
        head = file.peek(_LOOKED_AT_BYTES)[:_LOOKED_AT_BYTES]
    elif head.startswith(_BOM):
        file.read(3)
    if b"\r" in head and b"\n" not in head:
        file = io.BufferedReader(_Plain(file, "utf-8", returns=True))
    return file  # type: ignore[no-any-return]


def open_bytes(path: Path) -> io.BufferedReader:
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
    """Open a manifest as UTF-8 with line feeds; it may be packed with gzip, UTF-16, or end its lines by returns alone.

    Raises:
        ManifestError: It is not there, may not be read, or cannot be unpacked to the end.
    """
    with open_bytes(path) as raw:
        try:
            file = io.BufferedReader(_Unpacked(raw, path)) if raw.peek(2)[:2] == _GZIP else raw
            yield _as_plain(file)
        except (EOFError, zlib.error, OSError) as error:
            raise ManifestError(f"{visible(str(path))} cannot be read to the end: {visible(str(error))}") from error


def start(path: Path, limit_bytes: int) -> str:
    """Return how a manifest begins; nothing for what cannot be opened or unpacked."""
    try:
        with open_unpacked(path) as file:
            return file.read(limit_bytes).decode(errors="replace")
    except ManifestError:
        return ""


def lines(path: Path, limit_bytes: int, *, errors: str = "strict") -> Iterator[tuple[int, str | Problem]]:
    """Yield line numbers from 1 and decoded lines with their line ends, or what is wrong with a line.

    A line above ``limit_bytes`` is skipped without being held in memory. ``errors`` is what ``bytes.decode`` makes of
    bytes that are no text: a problem of the line, or with ``surrogateescape`` a part of it.

    Raises:
        ManifestError: As :func:`open_unpacked`.
    """
    with open_unpacked(path) as file:
        number = empty = 0
        while raw := file.readline(limit_bytes + 1):
            number += 1
            empty = 0 if raw.strip() else empty + 1
            if empty > _MAX_EMPTY_LINES:
                raise ManifestError(f"{visible(str(path))} has {empty} empty lines in a row, up to line {number}")
            if len(raw) > limit_bytes and not raw.endswith(b"\n"):
                _skip_line(file, limit_bytes)
                yield number, problem(number, "BAD_VALUE", f"Line {number} has more than {limit_bytes} bytes")
                continue
            try:
                yield number, raw.decode(errors=errors)
            except UnicodeDecodeError as error:
                message = f"Line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"
                yield number, problem(number, "BAD_VALUE", message, "Save the manifest as UTF-8.")


def _skip_line(file: BinaryIO, limit_bytes: int) -> None:
    while (raw := file.readline(limit_bytes)) and not raw.endswith(b"\n"):
        pass
