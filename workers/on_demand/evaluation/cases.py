"""One picture to judge after another, read and brought to its size; what cannot be read is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.settings import Settings
from workers.on_demand.evaluation import references
from workers.on_demand.evaluation.references import Entry, Levels, Place

_SHOWN_PROBLEMS = 200
Made = Callable[[str], Place | None]


@dataclass(frozen=True)
class Case:
    """A picture, or a frame of a film, and its reference."""

    id: str
    true: Levels
    """``(H, W, C)``, C 1 or 3."""
    given: Levels | None = None
    """What the model is given, where that is not made of the reference."""
    made: Levels | None = None
    """What was made already."""
    film: str = ""
    """The film that it is a frame of; empty for a photo."""


@dataclass
class Problems:
    """What could not be judged, and why. Nothing is left out without a line here."""

    count: int = 0
    rows: list[dict[str, str]] = field(default_factory=list)
    """The first of them, each with ``id``, ``code``, ``message``."""

    def add(self, name: str, error: InputError) -> None:
        """Write one down."""
        self.count += 1
        if len(self.rows) < _SHOWN_PROBLEMS:
            self.rows.append({"id": name, "code": error.code, "message": error.message})


class Desk:
    """Reads the cases of one evaluation."""

    def __init__(self, settings: Settings, scratch: Path, size_px: int | None) -> None:
        """Take where to read by, where to unpack, and the size to bring references to."""
        self._settings, self._scratch, self._size_px = settings, scratch, size_px
        self.problems = Problems()

    def cases(self, entries: Sequence[Entry], made: Made | None = None) -> Iterator[Case]:
        """Yield what can be read of a set, in order.

        Args:
            entries: The references.
            made: Says where that lies which was made already for an id; none when a model makes it.
        """
        for entry in entries:
            try:
                yield from self._of(entry, made)
            except InputError as error:
                self.problems.add(entry.id, error)

    def _of(self, entry: Entry, made: Made | None) -> Iterator[Case]:
        own = made(entry.id) if made is not None else None
        if made is not None and own is None:
            raise InputError(f"{entry.id}: nothing was made for this reference", code="OUTPUT_MISSING")
        places = (entry.reference, entry.given, own)
        if not any(place.film for place in places if place):
            true, given, finished = (self._picture(place) if place else None for place in places)
            yield self._case(entry.id, true, given, finished)
            return
        streams = [self._frames(place) if place else None for place in places]
        for number, (true, given, finished) in enumerate(_together(entry.id, streams)):
            yield self._case(f"{entry.id}#{number}", true, given, finished, entry.id)

    def _case(self, name: str, true: Levels | None, given: Levels | None, made: Levels | None, film: str = "") -> Case:
        assert true is not None
        if self._size_px:
            true = references.resized(true, self._size_px)
            made = references.resized(made, self._size_px) if made is not None else None
        return Case(name, true, given, made, film)

    def _picture(self, place: Place) -> Levels:
        return references.picture(place, self._settings, self._scratch)

    def _frames(self, place: Place) -> Iterator[Levels]:
        return references.frames(place, self._settings) if place.film else iter([self._picture(place)])


def alike(name: str, true: Levels, made: Levels) -> tuple[Levels, Levels]:
    """Return both with as many channels: grey stands for three equal ones.

    Raises:
        InputError: ``SIZE_MISMATCH``.
    """
    if true.shape[:2] != made.shape[:2]:
        sizes = " and ".join(f"{picture.shape[1]} x {picture.shape[0]}" for picture in (true, made))
        raise InputError(f"{name}: reference and output are {sizes}", code="SIZE_MISMATCH")
    return (true, made) if true.shape == made.shape else (colour(true), colour(made))


def colour(picture: Levels) -> Levels:
    """Return three channels of a picture with one or three."""
    return picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2)


def noisy(case: Case, sigma: float, seed: int) -> NDArray[np.float32]:
    """Return the reference ``(H, W, C)`` of 0..255 with Gaussian noise, not clipped; the same for the same name."""
    name = int.from_bytes(hashlib.sha256(case.id.encode(errors="surrogatepass")).digest()[:8], "little")
    chance = np.random.default_rng([seed, name])
    return (case.true + sigma * chance.standard_normal(case.true.shape)).astype(np.float32)


def batches(cases: Iterator[Case], most: int) -> Iterator[list[Case]]:
    """Yield cases by the batch: neighbours of one size, at most so many."""
    for _, run in groupby(cases, key=lambda case: (case.true.shape, case.given is None or case.given.shape)):
        batch: list[Case] = []
        for case in run:
            batch.append(case)
            if len(batch) == most:
                yield batch
                batch = []
        if batch:
            yield batch


def _together(name: str, streams: list[Iterator[Levels] | None]) -> Iterator[list[Levels | None]]:
    """Walk through films of one length side by side."""
    number = 0
    while True:
        frames = [next(stream, None) if stream else None for stream in streams]
        here = [frame is not None for frame, stream in zip(frames, streams, strict=True) if stream]
        if not any(here):
            return
        if not all(here):
            raise InputError(f"{name}: one of the films ends after {number} frames", code="SIZE_MISMATCH")
        yield frames
        number += 1
