"""The index of a reel: what the probe wrote down about every frame."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from workers.media.errors import reading

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
