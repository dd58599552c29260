"""PNM whose samples are written out as figures.

Pillow takes what stands behind the last one for damage, and OpenImageIO does not speak of it, nor of samples that are
too large.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import CODES, InputError
from workers.media.errors import reading
from workers.media.stills.photo import Photo, StillHeader, damage_note

_HEADER_BYTES = 1 << 16
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEAD = re.compile(rb"P([123])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?=\s|#)")
_LARGEST = re.compile(_GAP + rb"(\d{1,5})(?=\s|#)")
_COMMENT, _PICTURE = re.compile(rb"#[^\r\n]*"), re.compile(rb"(?:^|(?<=\s))P[1-6]\s")
_NO_FIGURE = re.compile(rb"[^\d\s]")
_BITS, _RGB = b"1", b"3"


@dataclass(frozen=True)
class _Plain:
    """A header: largest value 1 for one bit, where 1 is black."""

    kind: bytes
    width: int
    height: int
    largest: int
    stop: int
    """Where figures may begin."""

    @property
    def channels(self) -> int:
        return 3 if self.kind == _RGB else 1

    @property
    def count(self) -> int:
        return self.width * self.height * self.channels

    @property
    def depth_bits(self) -> int:
        return 8 if self.largest < 256 else 16


def is_plain(path: Path) -> bool:
    """Whether a PNM has its samples as figures; raises ``OSError``."""
    with path.open("rb") as file:
        return file.read(2) in {b"P1", b"P2", b"P3"}


def header(path: Path) -> StillHeader:
    """Read a header; raises ``InputError`` ``BAD_HEADER``."""
    with reading(str(path)), path.open("rb") as file:
        plain = _head(path, file.read(_HEADER_BYTES))
    return StillHeader("pnm", plain.width, plain.height, plain.channels, plain.depth_bits)


def read(path: Path, *, accept_damaged: bool = False) -> Photo:
    """Decode the first picture of a file; raises ``InputError`` ``TRUNCATED`` or ``CORRUPT``."""
    with reading(str(path)):
        data = path.read_bytes()
        plain = _head(path, data)
        body = _COMMENT.sub(b"", data[plain.stop :])
        stop = _end(body, plain)
        values, what, code = _values(body[:stop], plain)
        if what and not accept_damaged:
            raise InputError(f"{path}: {what}", code=code, remedy=CODES["TRUNCATED"].remedy)
        lost = plain.count - len(values)
        samples = np.pad(_spread(values, plain), (0, lost)).reshape(plain.height, plain.width, plain.channels)
    damage = (damage_note(f"{what}; {100 * lost / plain.count:.0f} % is black", code),) if what else ()
    pages, more = _behind(body[stop:])
    return Photo("pnm", samples, plain.depth_bits, pages=pages, notes=(*damage, *more))


def _behind(rest: bytes) -> tuple[int, tuple[str, ...]]:
    """Return how many pictures there are with those behind the first, and a note where something else stands there."""
    if _PICTURE.match(rest):
        return 1 + len(_PICTURE.findall(rest)), ()
    note = f"What stands behind the picture was left out ({len(rest)} bytes)."
    return 1, (note,) if rest.strip() else ()


def _head(path: Path, data: bytes) -> _Plain:
    head = _HEAD.match(data)
    largest = _LARGEST.match(data, head.end()) if head and head[1] != _BITS else None
    if head and largest:
        plain = _Plain(head[1], int(head[2]), int(head[3]), int(largest[1]), largest.end())
    elif head:
        plain = _Plain(head[1], int(head[2]), int(head[3]), int(head[1] == _BITS), head.end())
    if not head or not plain.count or not 0 < plain.largest < 1 << 16:
        raise InputError(
            f"{path}: its header gives no width and height, or no largest value from 1 to 65535", code="BAD_HEADER"
        )
    return plain


def _end(body: bytes, plain: _Plain) -> int:
    """Return where the figure behind the picture's last one begins, or the body ends."""
    is_blank = np.isin(np.frombuffer(body, np.uint8), list(b" \t\n\v\f\r"))
    begins = ~is_blank
    if plain.kind != _BITS:  # bits need no blanks between them
        begins[1:] &= is_blank[:-1]
    if np.count_nonzero(begins) <= plain.count:
        return len(body)
    return int(np.flatnonzero(begins)[plain.count])


def _values(body: bytes, plain: _Plain) -> tuple[NDArray[Any], str, str]:
    """Return the values up to the first that is none, and what is wrong with that, with its code."""
    wrong = _NO_FIGURE.search(body)
    figures = body[: wrong.start()] if wrong else body
    if plain.kind == _BITS:
        values = np.frombuffer(figures.translate(None, b" \t\n\v\f\r"), np.uint8) - ord("0")
    else:
        values = np.fromstring(figures.decode("ascii"), np.int64, sep=" ")
    large = np.flatnonzero(values > plain.largest)
    where = f"behind {large[0] if large.size else len(values):,} of {plain.count:,} samples"
    if large.size:
        return values[: large[0]], f"{values[large[0]]} stands {where}, more than {plain.largest}", "CORRUPT"
    if wrong:
        letter = wrong[0].decode("latin-1")
        return values, f"{repr(letter) if letter.isprintable() else f'byte {wrong[0][0]}'} stands {where}", "CORRUPT"
    return values, "" if len(values) == plain.count else f"it ends {where}", "TRUNCATED"


def _spread(values: NDArray[Any], plain: _Plain) -> NDArray[Any]:
    """Return values as samples of 8 or 16 bits."""
    if plain.kind == _BITS:
        return np.where(values == 0, 255, 0).astype(np.uint8)
    most = 2**plain.depth_bits - 1
    # Rounded down, as OpenImageIO does with packed samples.
    samples: NDArray[Any] = values * most // plain.largest
    return samples.astype(np.uint8 if plain.depth_bits == 8 else np.uint16)
