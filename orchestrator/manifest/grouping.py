"""Which files of a tree belong together: the frames of a sequence, and a reel and its sound.

Used by the readers of ``orchestrator.manifest`` alone; the same for a folder, a bag and a bucket.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from orchestrator.manifest import kinds
from orchestrator.manifest.fields import id_of
from orchestrator.manifest.series import SeriesJudge
from orchestrator.terminal_text import visible_path

MIN_SEQUENCE_FILES = 5
"""Fewer pictures with numbers in their names are stills: a film has more frames than that."""
_NUMBER = re.compile(r"[0-9]+")
_MOST_DIGITS = 9
_MOST_NUMBERS = 6
"""Of a name: those before are not looked at."""
_SHOWN_SUFFIXES = 40
_SHOWN_STRAYS = 8
_SOUND_FIRST = ("wav", "bwf")
"""Of several sounds of one name these are taken; the others are copies of them."""

_SequenceFrames = tuple[dict[str, Any], list[str]]
"""The fields of a sequence, and the names of its frames."""


class FileGroup(NamedTuple):
    """What becomes one item: a single file, or the frames of a sequence."""

    name: str
    """The file's name; a sequence's range, ``reel_0001-0240.dpx``: no file is called that, any disk can hold it."""
    members: Sequence[str]
    """Names of its files, frames in the order of their numbers."""
    sequence: Mapping[str, Any]
    """The fields ``sequence.*``; empty for a single file."""
    sound: str
    """Path of the sound file named like it, inside the tree; empty without one."""

    def fields(self, folder: str) -> dict[str, Any]:
        """Return the fields of its entry; ``folder`` is its own, empty for the tree's root."""
        inside = f"{folder}/" if folder else ""
        sound = {"sound": self.sound} if self.sound else {}
        if not self.sequence:
            return {"uri": inside + self.name, **sound}
        return {"id": id_of(inside + self.name), "uri": folder or ".", "kind": "sequence", **self.sequence, **sound}


class Grouping:
    """Puts the files of a tree together, folder by folder; a folder comes before those in it."""

    def __init__(self, series: SeriesJudge, below: str = "") -> None:
        """Take who says what numbered pictures are, and what precedes paths of the tree to make addresses of them."""
        self._series, self._below = series, below
        self._passed_over: Counter[str] = Counter()
        self._sounds: dict[str, str] = {}
        self._strays: list[str] = []

    def groups(self, folder: str, names: Sequence[str], *, alone: frozenset[str] = frozenset()) -> Iterator[FileGroup]:
        """Yield what the files of one folder are, in the order of their names.

        Args:
            folder: Path of the folder inside the tree, empty for its root.
            names: Names of its files, sorted.
            alone: Names of files that cannot be frames of a sequence, whatever they are called.
        """
        inside = f"{folder}/" if folder else ""
        media = []
        for name in names:
            suffix = kinds.suffix(name)
            if name.startswith("."):
                self._passed_over["hidden"] += 1
            elif kinds.by_suffix(name):
                media.append(name)
            elif suffix in kinds.SOUNDS:
                self._keep_sound(inside, name, suffix)
            else:
                self._passed_over[suffix or "none"] += 1
        pictures = [name for name in media if kinds.suffix(name) in kinds.PICTURES and name not in alone]
        by_name = self._reels(inside, pictures)
        reels = len({id(frames) for frames in by_name.values()})
        reels += sum(kinds.suffix(name) in kinds.FILMS for name in media)
        sequence_ids = set()
        for name in media:
            frames = by_name.get(name)
            if frames is None:
                likely = [name] if kinds.suffix(name) in kinds.FILMS else []
                sound = self._sound(inside, likely, folder if likely and reels == 1 else "")
                yield FileGroup(name, (name,), {}, sound)
            elif id(frames) not in sequence_ids:
                sequence_ids.add(id(frames))
                sequence, members = frames
                label = _label(sequence)
                likely = [label, f"{sequence['sequence.prefix'].rstrip('._- ')}."]
                likely += [f"{os.path.basename(folder)}."] if reels == 1 else []
                yield FileGroup(label, members, sequence, self._sound(inside, likely, folder if reels == 1 else ""))

    def notes(self) -> Iterator[str]:
        """Yield a sentence for each sort of file that was passed over."""
        yield from self._series.notes()
        if self._strays:
            more = f" and {len(self._strays) - _SHOWN_STRAYS} more" if len(self._strays) > _SHOWN_STRAYS else ""
            yield (
                f"Stills that are called like frames of a reel beside them, but for zeros before the number: "
                f"{', '.join(self._strays[:_SHOWN_STRAYS])}{more}; rename them if they belong to it"
            )
        if lone := len(self._sounds):
            yield f"Sound files were passed over ({lone}): no film or sequence beside them has their name"
        if self._passed_over:
            most = self._passed_over.most_common(_SHOWN_SUFFIXES)
            counts = ", ".join(f"{visible_path(ending)[:20]} ({count})" for ending, count in most)
            others = len(self._passed_over) - len(most)
            more = f" and {others} other suffixes" if others > 0 else ""
            total = f" ({self._passed_over.total()} in all)" if len(self._passed_over) > 1 else ""
            yield f"Files of other kinds were passed over{total}: {counts}{more}"

    def _reels(self, inside: str, pictures: list[str]) -> dict[str, _SequenceFrames]:
        """Map each picture that is a frame of a film to its sequence, and keep in mind what falls off one."""
        by_name = _sequences(pictures)
        verdicts: dict[int, bool] = {}
        for frames in by_name.values():
            if id(frames) not in verdicts:
                sequence, members = frames
                is_reel = self._series.is_reel(self._below + inside, _label(sequence), members)
                verdicts[id(frames)] = is_reel
        reels = {name: frames for name, frames in by_name.items() if verdicts[id(frames)]}
        ends = {(part["sequence.prefix"], part["sequence.suffix"]) for part, _ in reels.values()}
        for name in pictures if ends else ():
            if name not in reels and any((prefix, suffix) in ends for prefix, _, suffix in _parts(name)):
                self._strays.append(visible_path(inside + name)[-200:])
        return reels

    def _keep_sound(self, inside: str, name: str, suffix: str) -> None:
        stem = inside + name[: -len(suffix) - 1]
        if stem not in self._sounds or suffix in _SOUND_FIRST:
            self._sounds[stem] = inside + name

    def _sound(self, inside: str, likely: list[str], folder: str) -> str:
        """Take the sound with the stem of one of the names, else the one beside the folder that has the folder's."""
        stems = [inside + os.path.splitext(name)[0] for name in likely] + ([folder] if folder else [])
        return next((self._sounds.pop(stem) for stem in stems if stem in self._sounds), "")


def _label(sequence: Mapping[str, Any]) -> str:
    width = sequence["sequence.padding"]
    span = f"{sequence['sequence.start']:0{width}d}-{sequence['sequence.end']:0{width}d}"
    return f"{sequence['sequence.prefix']}{span}{sequence['sequence.suffix']}"


def _sequences(names: list[str]) -> dict[str, _SequenceFrames]:
    """Map each picture that may be a frame to its sequence; frames of one sequence share the same object.

    The last number of a name counts; where that makes no sequence, the one before.
    """
    by_name: dict[str, _SequenceFrames] = {}
    rest = [(name, parts) for name in names if (parts := _parts(name))]
    for place in range(_MOST_NUMBERS):
        rest = [(name, parts) for name, parts in rest if len(parts) > place and name not in by_name]
        by_name |= _sequences_at(rest, place)
    return by_name


def _parts(name: str) -> list[tuple[str, str, str]]:
    """Return what precedes a number, its digits and what follows it, for each number of a name, the last one first."""
    stem, ending = os.path.splitext(name)
    runs = [(max(match.start(), match.end() - _MOST_DIGITS), match.end()) for match in _NUMBER.finditer(stem)]
    return [(stem[:start], stem[start:end], stem[end:] + ending) for start, end in reversed(runs[-_MOST_NUMBERS:])]


def _sequences_at(named: list[tuple[str, list[tuple[str, str, str]]]], place: int) -> dict[str, _SequenceFrames]:
    alike: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, parts in named:
        prefix, digits, suffix = parts[place]
        alike[prefix, suffix].append((digits, name))
    by_name: dict[str, _SequenceFrames] = {}
    for (prefix, suffix), frames in alike.items():
        for padding, members in _by_padding(frames).items():
            if len(members) >= MIN_SEQUENCE_FILES:
                by_number = sorted((int(digits), name) for digits, name in members)
                sequence = _sequence(prefix, suffix, padding, [number for number, _ in by_number])
                whole = (sequence, [name for _, name in by_number])
                by_name.update((name, whole) for _, name in members)
    return by_name


def _by_padding(frames: list[tuple[str, str]]) -> dict[int, list[tuple[str, str]]]:
    """Sort frames by the width that a leading zero betrays; a number without one may belong to any width it fills."""
    widths = {len(digits) for digits, _ in frames if digits.startswith("0") and len(digits) > 1}
    groups: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for digits, name in frames:
        width = len(digits)
        if width not in widths:
            width = max(widths) if widths and width > max(widths) else 0
        groups[width].append((digits, name))
    return groups


def _sequence(prefix: str, suffix: str, padding: int, numbers: list[int]) -> dict[str, Any]:
    step = math.gcd(*(later - earlier for earlier, later in pairwise(numbers)))
    return {
        "sequence.prefix": prefix,
        "sequence.suffix": suffix,
        "sequence.padding": padding,
        "sequence.start": numbers[0],
        "sequence.end": numbers[-1],
        "sequence.step": max(1, step),
    }
