"""What is known of a reel: the index of its frames, which the probe writes down, and all else that a scan finds."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.records import AudioTrack
from workers.media.errors import reading
from workers.media.pixels import Layout

DEFAULT_RATE = Fraction(24)
"""Frames a second of a reel that says nothing of it."""
LONGEST_GOP_FRAMES = 300
"""With keyframes further apart than this, reading segments would mostly decode what is thrown away."""
BLACK = -1
"""In ``Index.shows``: no file stands behind this frame, it is black."""


@dataclass(frozen=True)
class Index:
    """One row a frame, in the order of showing."""

    pts: NDArray[np.int64]
    """Time stamps in units of ``time_base``; for a sequence the frame's own number in the reel."""
    time_base: Fraction
    """Seconds."""
    key: NDArray[np.bool_]
    """Whether a decoder can start here."""
    digest: NDArray[np.uint8]
    """``(N, 16)`` hash of the decoded samples; zeros where the frame is black."""
    shows: NDArray[np.int64]
    """Number of the frame that is really shown: its own, or in a sequence with holes another one or ``BLACK``."""

    def __len__(self) -> int:
        """Frames of the reel."""
        return len(self.pts)

    def key_at(self, number: int) -> int:
        """Return the last frame up to ``number`` where a decoder can start."""
        keys = np.flatnonzero(self.key[: number + 1])
        return int(keys[-1]) if len(keys) else 0

    def seconds(self, number: int) -> Fraction:
        """Return when a frame begins, counted from the first one."""
        return int(self.pts[number] - self.pts[0]) * self.time_base

    def dumps(self) -> bytes:
        """Return the index as an npz file."""
        base = np.array([self.time_base.numerator, self.time_base.denominator], np.int64)
        return pack(pts=self.pts, time_base=base, key=self.key, digest=self.digest, shows=self.shows)


def loads(blob: bytes) -> Index:
    """Read what :meth:`Index.dumps` wrote."""
    arrays = unpack(blob)
    numerator, denominator = (int(part) for part in arrays.pop("time_base"))
    return Index(time_base=Fraction(numerator, denominator), **arrays)


def pack(**arrays: NDArray[Any]) -> bytes:
    """Return named arrays as the bytes of an npz file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(blob: bytes) -> dict[str, NDArray[Any]]:
    """Read what :func:`pack` wrote; raises ``InputError`` when the bytes are anything else."""
    with reading("An index, profile or score blob"):
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except zipfile.BadZipFile as error:
            raise InputError("An index, profile or score blob is no npz file", code="CORRUPT") from error


@dataclass
class ReelScan:
    """What looking a reel through brought to light."""

    layout: Layout
    pixel_format: str
    size: tuple[int, int]
    """Height and width as stored, before any turning."""
    tags: dict[str, str]
    """``matrix``, ``primaries``, ``transfer`` by FFmpeg's names."""
    rate: Fraction
    variable_rate: bool = False
    index: Index = field(init=False)
    seekable: bool = True
    """Whether time stamps tell frames apart, so that seeking may be tried."""
    rotation_degrees: int = 0
    sample_aspect: Fraction = Fraction(1)
    audio: tuple[AudioTrack, ...] = ()
    timecode: str = ""
    header_rate: Fraction | None = None
    """What the header says of the rate; none when it says nothing."""
    left_out: tuple[str, ...] = ()
    damage: str = ""
    truncated: bool = False
    interlaced: str = ""
    field_order: Literal["top", "bottom"] = "top"
    """Which field comes first, where frames are woven of two."""
    color: float = 0.0
    disagreements: tuple[str, ...] = ()
    """Where a header contradicts itself."""
    notes: tuple[str, ...] = ()
    """What else a person should know of the source."""
