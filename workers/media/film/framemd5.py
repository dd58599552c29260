"""Checksums of decoded frames, in the form of FFmpeg's framemd5 muxer.

Any FFmpeg can make the same list of the same film: ``ffmpeg -i master.mkv -map 0:v -f framemd5 -``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.video.frame import VideoFrame

from db.errors import InputError
from workers.media import planes
from workers.media.film import container

MAX_LINE_BYTES = 200


class FrameChecksum(NamedTuple):
    """What stands of one frame."""

    bytes: int
    md5: str


def frame_checksum(frame: VideoFrame) -> FrameChecksum:
    """Return size and MD5 of a decoded frame's samples, without padding."""
    digest, size = hashlib.md5(usedforsecurity=False), 0
    for rows in planes.plane_bytes(frame):
        digest.update(rows.data)
        size += rows.nbytes
    return FrameChecksum(size, digest.hexdigest())


def header(width: int, height: int, rate: Fraction, sample_aspect: Fraction) -> str:
    """Return the lines before the first frame."""
    return (
        "#format: frame checksums\n#version: 2\n#hash: MD5\n"
        f"#tb 0: {rate.denominator}/{rate.numerator}\n"
        "#media_type 0: video\n#codec_id 0: rawvideo\n"
        f"#dimensions 0: {width}x{height}\n#sar 0: {sample_aspect.numerator}/{sample_aspect.denominator}\n"
        "#stream#, dts,        pts, duration,     size, hash\n"
    )


def lines(checksums: Iterable[FrameChecksum]) -> Iterator[str]:
    """Yield the lines of frames in order."""
    for number, checksum in enumerate(checksums):
        yield f"0, {number:10d}, {number:10d}, {1:8d}, {checksum.bytes:8d}, {checksum.md5}\n"


def decode_checksums(film: Path) -> Iterator[FrameChecksum]:
    """Decode a film and yield what its frames are.

    Raises:
        InputError: ``CORRUPT``, ``TRUNCATED`` …
    """
    with container.open_film(film) as (demuxer, stream):
        yield from map(frame_checksum, container.frames(demuxer, stream, _raise_damage))


def parse(text: str) -> list[FrameChecksum]:
    """Read a list; frames of the first stream alone.

    Raises:
        InputError: ``CORRUPT``.
    """
    checksums = []
    for number, each in enumerate(text.splitlines(), start=1):
        if each.startswith("#") or not each.strip():
            continue
        cells = [cell.strip() for cell in each[:MAX_LINE_BYTES].split(",")]
        if len(cells) != 6 or len(cells[5]) != 32 or not (cells[4].isdecimal() and cells[4].isascii()):
            raise InputError(f"Line {number} is none of a list of frame checksums: {each!r:.100}", code="CORRUPT")
        if cells[0] == "0":
            checksums.append(FrameChecksum(int(cells[4]), cells[5].lower()))
    return checksums


def _raise_damage(damage: str) -> None:
    raise InputError(f"The film cannot be decoded: {damage}", code="CORRUPT")
