"""Image sequences: numbered files that make one reel. ``workers.media`` and ``workers.probe`` import this.

We enumerate the files ourselves: FFmpeg's own reader stops at the first hole without a word.
"""

from __future__ import annotations

import os
import re
import struct
from fractions import Fraction
from pathlib import Path

from db.errors import InputError
from db.records import Sequence, Source
from workers.media.index import BLACK

DEFAULT_RATE = Fraction(24)
_NAMED_NUMBERS = 20


def numbers(sequence: Sequence) -> range:
    """Return the numbers in the files' names, in order."""
    return range(sequence.start, sequence.end + 1, sequence.step)


def file_of(folder: Path, sequence: Sequence, frame: int) -> Path:
    """Return the file of the reel's frame ``frame``, whether it is there or not."""
    number = numbers(sequence)[frame]
    return folder / f"{sequence.prefix}{number:0{sequence.padding}d}{sequence.suffix}"


def shows(folder: Path, source: Source) -> list[int]:
    """Return for every frame of the reel the frame that is really shown.

    Its own number where the file is there; for a hole the last frame before it (at the start, the first after it), or
    ``BLACK``, as ``source.missing`` says.

    Raises:
        InputError: ``SEQUENCE_GAP`` with the numbers, ``FILE_MISSING`` when no file is there at all.
    """
    sequence = _sequence_of(source)
    there = _names(folder)
    present = [file_of(folder, sequence, frame).name in there for frame in range(len(numbers(sequence)))]
    if not any(present):
        raise InputError(f"{folder}: none of {_pattern(sequence)} is there", code="FILE_MISSING")
    if not all(present) and source.missing == "error":
        gaps = [number for number, here in zip(numbers(sequence), present, strict=True) if not here]
        raise InputError(f"{folder}: {_pattern(sequence)} lacks {spelled(gaps)}", code="SEQUENCE_GAP")
    shown, last = [], present.index(True)
    for frame, here in enumerate(present):
        last = frame if here else last
        shown.append(frame if here else BLACK if source.missing == "black" else last)
    return shown


def spelled(gaps: list[int]) -> str:
    """Return numbers as people write them: ``3, 6-8``."""
    parts: list[list[int]] = []
    for number in gaps:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in parts]
    more = f" and {len(texts) - _NAMED_NUMBERS} more ranges" if len(texts) > _NAMED_NUMBERS else ""
    return ", ".join(texts[:_NAMED_NUMBERS]) + more


def dpx_rate_and_timecode(path: Path) -> tuple[Fraction | None, str]:
    """Read rate and SMPTE timecode from a DPX header, where the header is long enough to hold them.

    Many writers leave these fields out or full of rubbish; implausible values count as absent.
    """
    with path.open("rb") as file:
        head = file.read(2048)
    if len(head) < 2048 or head[:4] not in {b"SDPX", b"XPDS"}:
        return None, ""
    order = ">" if head[:4] == b"SDPX" else "<"
    (offset,) = struct.unpack_from(f"{order}I", head, 4)
    if offset < 2048:
        return None, ""
    rates = (struct.unpack_from(f"{order}f", head, at)[0] for at in (1724, 1940))
    rate = next((_rational(value) for value in rates if 1 <= value <= 240), None)
    (packed,) = struct.unpack_from(f"{order}I", head, 1920)
    return rate, _timecode(packed)


def _timecode(packed: int) -> str:
    digits = f"{packed:08x}"
    # All zeros is what a writer leaves that knows nothing of timecode.
    if not packed or not re.fullmatch(r"[0-2]\d[0-5]\d[0-5]\d\d\d", digits):
        return ""
    return ":".join(digits[at : at + 2] for at in (0, 2, 4, 6))


def _rational(rate: float) -> Fraction:
    for exact in (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(50, 3)):
        if abs(rate - exact) < 0.005:
            return exact
    return Fraction(rate).limit_denominator(100)


def _sequence_of(source: Source) -> Sequence:
    if source.sequence is None or not len(numbers(source.sequence)):
        raise InputError(f"{source.uri}: the sequence has no numbers", code="BAD_VALUE")
    return source.sequence


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except PermissionError as error:
        raise InputError(f"{folder}: not readable by this worker", code="SOURCE_DENIED") from error
    except OSError as error:
        raise InputError(f"{folder}: no such folder", code="FILE_MISSING") from error


def _pattern(sequence: Sequence) -> str:
    first, last = (f"{number:0{sequence.padding}d}" for number in (sequence.start, sequence.end))
    return f"{sequence.prefix}[{first}-{last}]{sequence.suffix}"
