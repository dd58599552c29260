"""Image sequences: numbered files that make one reel.

We enumerate the files ourselves: FFmpeg's own reader stops at the first hole without a word.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from db.errors import InputError
from db.local_paths import is_text, readable
from db.records import Source
from db.settings import Settings
from workers.media.index import BLACK
from workers.media.pixels import Layout, Planes
from workers.media.remote import Folder
from workers.media.stills import files as stills
from workers.media.stills.photo import Photo

_NAMED_NUMBERS = 20


def numbers(source: Source) -> range:
    """Return the numbers in the files' names, in order; raises ``InputError`` ``BAD_VALUE`` when there are none."""
    file_numbers = source.sequence.numbers if source.sequence else range(0)
    if not file_numbers:
        raise InputError(f"{source.uri}: the sequence has no numbers", code="BAD_VALUE")
    return file_numbers


def file_of(folder: Folder, source: Source, frame: int) -> Path:
    """Return the file of the reel's frame ``frame`` on this machine; held or fetched; raises as its ``file``."""
    return folder.file(name_of(source, frame))


def name_of(source: Source, frame: int) -> str:
    """Return the name of the file of the reel's frame ``frame``, as it is on the disk."""
    assert source.sequence is not None
    return source.file_name(f"{numbers(source)[frame]:0{source.sequence.padding}d}")


def shown_name_of(source: Source, frame: int) -> str:
    """Return the name of the file of a frame as text."""
    return readable(name_of(source, frame))


def result_name_of(source: Source, frame: int) -> str:
    """Return the name of the restored file of a frame: its source's, where that is text."""
    name = name_of(source, frame)
    return name if is_text(name) else readable(name).replace("%", "_")


def read(path: Path, like: Layout | None, source: Source, settings: Settings) -> tuple[Planes, Photo]:
    """Read one file of a sequence; alpha is left out of its samples.

    Args:
        path: The file.
        like: What it must be like; none for the first file.
        source: For a transfer that the manifest gives.
        settings: For the limits.

    Raises:
        InputError: ``MIXED_GEOMETRY`` when it is not like the others, or as ``stills.read``.
    """
    photo = stills.read(path, settings)
    transfer = like.transfer if like else source.transfer or photo.transfer
    photo = replace(photo, transfer=transfer)
    if like and photo.layout() != like:
        raise InputError(f"{path}: other depth or channels than the frames before", code="MIXED_GEOMETRY")
    return tuple(np.ascontiguousarray(photo.samples[..., channel]) for channel in range(photo.samples.shape[2])), photo


def source_frames(folder: Folder, source: Source) -> list[int]:
    """Return for every frame of the reel the frame that is really shown.

    Its own number where the file is there; for a hole the last frame before it (at the start, the first after it), or
    ``BLACK``, as ``source.missing`` says.

    Raises:
        InputError: ``SEQUENCE_GAP`` with the numbers, ``FILE_MISSING`` when no file is there at all.
    """
    file_numbers, names = numbers(source), folder.names()
    assert source.sequence is not None
    source.sequence.check_holes(len(names), str(folder))
    present = [name_of(source, frame) in names for frame in range(len(file_numbers))]
    source.sequence.check_holes(sum(present), str(folder))
    if not any(present):
        raise InputError(f"{folder}: none of {_pattern(source)} is there", code="FILE_MISSING")
    if not all(present) and source.missing == "error":
        gaps = [number for number, is_present in zip(file_numbers, present, strict=True) if not is_present]
        raise InputError(
            f"{folder}: {_pattern(source)} lacks {format_ranges(gaps, file_numbers.step)}", code="SEQUENCE_GAP"
        )
    return fill_gaps(present, source)


def fill_gaps(present: list[bool], source: Source) -> list[int]:
    """Return for every frame of the reel the frame that is really shown, from whether each is there; one must be."""
    frames, last = [], present.index(True)
    for frame, is_present in enumerate(present):
        last = frame if is_present else last
        frames.append(frame if is_present else BLACK if source.missing == "black" else last)
    return frames


def format_ranges(gaps: list[int], step: int = 1) -> str:
    """Return numbers as people write them: ``3, 6-8``; those that follow one another are ``step`` apart."""
    parts: list[list[int]] = []
    for number in gaps:
        if parts and number == parts[-1][1] + step:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in parts]
    more = f" and {len(texts) - _NAMED_NUMBERS} more ranges" if len(texts) > _NAMED_NUMBERS else ""
    return ", ".join(texts[:_NAMED_NUMBERS]) + more


def _pattern(source: Source) -> str:
    assert source.sequence is not None
    first, last = (f"{numbers(source)[at]:0{source.sequence.padding}d}" for at in (0, -1))
    return readable(source.file_name(f"[{first}-{last}]"))
