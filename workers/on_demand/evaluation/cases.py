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
from workers.on_demand.evaluation.references import Levels, MediaLocation, ReferenceEntry

_MAX_PROBLEM_ROWS = 200
FindOutput = Callable[[str], MediaLocation | None]


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
        if len(self.rows) < _MAX_PROBLEM_ROWS:
            self.rows.append({"id": name, "code": error.code, "message": error.message})


class CaseReader:
    """Reads the cases of one evaluation."""

    def __init__(self, settings: Settings, scratch: Path, size_px: int | None) -> None:
        """Take where to read by, where to unpack, and the size to bring references to."""
        self._settings, self._scratch, self._size_px = settings, scratch, size_px
        self.problems = Problems()

    def cases(self, entries: Sequence[ReferenceEntry], find_output: FindOutput | None = None) -> Iterator[Case]:
        """Yield what can be read of a set, in order.

        Args:
            entries: The references.
            find_output: Says where that lies which was made already for an id; none when a model makes it.
        """
        for entry in entries:
            try:
                yield from self._entry_cases(entry, find_output)
            except InputError as error:
                self.problems.add(entry.id, error)

    def _entry_cases(self, entry: ReferenceEntry, find_output: FindOutput | None) -> Iterator[Case]:
        output = find_output(entry.id) if find_output is not None else None
        if find_output is not None and output is None:
            raise InputError(f"{entry.id}: nothing was made for this reference", code="OUTPUT_MISSING")
        places = (entry.reference, entry.given, output)
        if not any(place.is_film for place in places if place):
            true, model_input, finished = (self._picture(place) if place else None for place in places)
            yield self._case(entry.id, true, model_input, finished)
            return
        streams = [self._frames(place) if place else None for place in places]
        for number, (true, model_input, finished) in enumerate(_zip_frames(entry.id, streams)):
            yield self._case(f"{entry.id}#{number}", true, model_input, finished, entry.id)

    def _case(
        self, name: str, true: Levels | None, model_input: Levels | None, output: Levels | None, film: str = ""
    ) -> Case:
        assert true is not None
        if self._size_px:
            true = references.resize_square(true, self._size_px)
            output = references.resize_square(output, self._size_px) if output is not None else None
        return Case(name, true, model_input, output, film)

    def _picture(self, place: MediaLocation) -> Levels:
        return references.read_picture(place, self._settings, self._scratch)

    def _frames(self, place: MediaLocation) -> Iterator[Levels]:
        return (
            references.read_frames(place, self._settings, self._scratch)
            if place.is_film
            else iter([self._picture(place)])
        )


def match_channels(name: str, true: Levels, output: Levels) -> tuple[Levels, Levels]:
    """Return both with as many channels: grey stands for three equal ones.

    Raises:
        InputError: ``SIZE_MISMATCH``.
    """
    if true.shape[:2] != output.shape[:2]:
        sizes = " and ".join(f"{picture.shape[1]} x {picture.shape[0]}" for picture in (true, output))
        raise InputError(f"{name}: reference and output are {sizes}", code="SIZE_MISMATCH")
    return (true, output) if true.shape == output.shape else (to_color(true), to_color(output))


def to_color(picture: Levels) -> Levels:
    """Return three channels of a picture with one or three."""
    return picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2)


def add_noise(case: Case, sigma: float, seed: int) -> NDArray[np.float32]:
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


def _zip_frames(name: str, streams: list[Iterator[Levels] | None]) -> Iterator[list[Levels | None]]:
    """Walk through films of one length side by side."""
    number = 0
    while True:
        frames = [next(stream, None) if stream else None for stream in streams]
        present = [frame is not None for frame, stream in zip(frames, streams, strict=True) if stream]
        if not any(present):
            return
        if not all(present):
            raise InputError(f"{name}: one of the films ends after {number} frames", code="SIZE_MISMATCH")
        yield frames
        number += 1
