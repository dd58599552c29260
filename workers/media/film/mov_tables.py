"""Tables of MP4 and QuickTime files that promise more than their file holds, found before FFmpeg makes room for them.

A few bytes can name thousands of millions of samples, for each of which FFmpeg keeps 36 bytes, or unfold to gigabytes.
No other container that is read here has tables whose entries are not in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer

from db.errors import InputError
from db.records import MOST_MADE

MAX_UNFOLDED_BYTES = 64 << 20
"""Of a table of contents that lies packed in its file."""
_HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"cmov", b"moof", b"traf"}
_FIRST = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_MOST_BOXES = 100_000
_FEW_SAMPLES = 1000


def check_tables(path: Path) -> None:
    """Look through a film's tables, if it has such.

    Raises:
        InputError: ``CORRUPT``, for more samples than bytes; ``TOO_LARGE``, for contents that unfold to too much.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(4)
        if file.read(4) not in _FIRST:
            return
        for count, (kind, at, stop) in enumerate(_boxes(file, 0, size)):
            if count == _MOST_BOXES:
                return  # a film of so many fragments; the limit of memory holds all the same
            file.seek(at)
            head = file.read(min(20, stop - at))
            if kind == b"cmvd" and (unfolded := _number(head, 0)) > MAX_UNFOLDED_BYTES:
                message = f"{path}: its table of contents would unfold to {unfolded:,} bytes"
                raise InputError(message, code="TOO_LARGE", remedy="Write it anew, with its contents unpacked.")
            samples = _number(head, 8 if kind == b"stsz" else 4) if kind in (b"stsz", b"stz2", b"trun") else 0
            if samples > max(_FEW_SAMPLES, size):
                raise InputError(f"{path}: names {samples:,} samples in {size:,} bytes", code="CORRUPT")


def check_edits(container: InputContainer, where: str) -> None:
    """Refuse a film whose edit lists show what is in it over and over: of 240 kB they make a hundred million frames.

    Raises:
        InputError: ``CORRUPT``.
    """
    for stream in container.streams if container.format.name.startswith("mov") else ():
        shown = len(stream.index_entries)
        if stream.frames and shown > max(_FEW_SAMPLES, (MOST_MADE + 1) * stream.frames):
            message = f"{where}: its edit lists show {stream.frames:,} samples {shown:,} times"
            raise InputError(message, code="CORRUPT", remedy="Write the film anew without edit lists.")


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of each box's payload, those inside of others too."""
    ends = [end]
    while ends:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        payload = at + 8
        if size == 1 and at + 16 <= ends[-1]:
            (size,), payload = struct.unpack(">Q", file.read(8)), at + 16
        stop = ends[-1] if size == 0 else min(at + size, ends[-1])
        yield kind, payload, max(payload, stop)
        if kind in _HOLDERS:
            ends.append(max(payload, stop))
            at = payload
        else:
            at = max(at + 8, stop)


def _number(head: bytes, at: int) -> int:
    return int.from_bytes(head[at : at + 4], "big")
