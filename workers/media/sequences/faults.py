"""What is wrong with single files of a sequence: all of it is told at once, not the first alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from db.errors import InputError
from db.records import Source
from workers.media.remote import Folder
from workers.media.sequences import files as sequence

UNREADABLE = frozenset({"TRUNCATED", "CORRUPT", "BAD_HEADER", "ZERO_BYTE", "UNKNOWN_FORMAT"})
"""What is wrong with a file that ``accept_damaged`` takes for a hole."""
_NAMED_KINDS = 8


class FrameFaults:
    """Collects what is wrong with frames; a long sequence of nothing but bad ones needs little memory."""

    def __init__(self, folder: Folder, source: Source) -> None:
        """Take the sequence, and what its manifest accepts."""
        self._folder, self._source = folder, source
        self._accepted = UNREADABLE if source.accept_damaged else frozenset[str]()
        self.damaged: dict[int, str] = {}
        """Frames with what is accepted, and its code."""
        self._kinds: dict[str, set[int]] = {}
        self._first: InputError | None = None

    @contextmanager
    def collect(self, frame: int) -> Iterator[None]:
        """Keep in mind what is wrong with a frame instead of raising it."""
        try:
            yield
        except InputError as error:
            if error.code in self._accepted:
                self.damaged[frame] = error.code
                return
            self._first = self._first or error
            self._kinds.setdefault(_kind_of(error), set()).add(frame)

    def check(self) -> None:
        """Raise for all that was wrong: the error itself if it is one frame's, else one that names all of them."""
        if self._first is None:
            return
        bad = set[int]().union(*self._kinds.values())
        if len(bad) == 1:
            raise self._first
        count = len(sequence.numbers(self._source))
        named = format_kinds(self._source, self._kinds)
        raise InputError(
            f"{self._folder}: {len(bad)} of {count} frames cannot be used: {named}. First: {self._first.message}",
            code=self._first.code,
            remedy=self._first.remedy,
        ) from self._first


def check_files(folder: Folder, source: Source, frames: list[int]) -> None:
    """Make sure, without reading them, that all files of a sequence can be read and hold something.

    Args:
        folder: Where they lie.
        source: The sequence.
        frames: For each frame the one that is shown, see ``files.source_frames``.

    Raises:
        InputError: ``SOURCE_DENIED``, ``ZERO_BYTE`` and as ``Folder.check``, naming all of which it is true.
    """
    faults = FrameFaults(folder, source)
    for number, use in enumerate(frames):
        if use == number:
            with faults.collect(number):
                folder.check(sequence.name_of(source, number))
    faults.check()


def format_kinds(source: Source, kinds: Mapping[str, Iterable[int]]) -> str:
    """Return frames by what is wrong with them, under the numbers that are in their names: ``3, 6-8 (TRUNCATED)``."""
    numbers = sequence.numbers(source)
    texts = [
        f"{sequence.format_ranges([numbers[frame] for frame in sorted(frames)], numbers.step)} ({kind})"
        for kind, frames in list(kinds.items())[:_NAMED_KINDS]
    ]
    more = f"; and {len(kinds) - _NAMED_KINDS} more kinds" if len(kinds) > _NAMED_KINDS else ""
    return "; ".join(texts) + more


def _kind_of(error: InputError) -> str:
    """Return what the same is wrong with: of frames unlike the others in what they differ."""
    return f"{error.code}: {error.message.rpartition(': ')[2]}" if error.code == "MIXED_GEOMETRY" else error.code
