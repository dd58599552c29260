"""Reader of a plain folder, or of one media file. Used by ``orchestrator.manifest`` alone."""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from db.settings import DATABASE_FILE
from orchestrator.manifest import kinds
from orchestrator.manifest.lines import Entry, Problem
from orchestrator.spelling import visible

MIN_SEQUENCE_FILES = 5
"""Fewer pictures with numbers in their names are stills: a film has more frames than that."""
HOME_MARK = DATABASE_FILE
"""A folder that holds this file is a home of ours, not an archive."""
_NUMBERED = re.compile(r"(.*?)(\d{1,9})(\D*)\Z", re.DOTALL)
_SHOWN_SUFFIXES = 6


def recognises(path: Path) -> bool:
    """Whether ``path`` is a folder, or itself a picture or film."""
    return path.is_dir() or kinds.by_suffix(path.name) is not None


def read(path: Path, limit_bytes: int, notes: list[str]) -> Iterator[Entry | Problem]:
    """Yield an entry for each still and reel below the folder, in the order of their names.

    Numbered pictures that differ in nothing but the number are one reel, other pictures are stills, films are reels.
    Hidden files are passed over, links to folders are not followed, and homes of Reelwright are left out.

    Args:
        path: The folder.
        limit_bytes: Unused: there are no lines.
        notes: Gains a sentence for each sort of file that was passed over.
    """
    if not path.is_dir():
        yield Entry(1, {"uri": path.name})
        return
    passed_over: Counter[str] = Counter()
    number = 0
    for folder, names in walk(path):
        prefix = os.path.relpath(folder, path)
        for found in _entries("" if prefix == "." else f"{prefix}/", names, passed_over):
            number += 1
            yield Entry(number, found)
    notes.extend(_notes(passed_over))


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder below ``root``, in order, with the sorted names of what is not a folder in it."""
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                inside = sorted(
                    (entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name
                )
        except OSError:
            continue  # a folder that may not be read holds nothing for us; its files would fail one by one
        names = [entry.name for entry in inside]
        if HOME_MARK in names:
            continue
        yield folder, [entry.name for entry in inside if not entry.is_dir()]
        waiting.extend(entry.path for entry in reversed(inside) if entry.is_dir(follow_symlinks=False))


def _entries(folder: str, names: list[str], passed_over: Counter[str]) -> Iterator[dict[str, Any]]:
    media = []
    for name in names:
        if kinds.by_suffix(name):
            media.append(name)
        else:
            passed_over[kinds.suffix(name) or "none"] += 1
    framed = _sequences([name for name in media if kinds.suffix(name) in kinds.PICTURES])
    begun = set()
    for name in media:
        sequence = framed.get(name)
        if sequence is None:
            yield {"uri": folder + name}
        elif id(sequence) not in begun:
            begun.add(id(sequence))
            yield {"id": folder + _label(sequence), "uri": folder.rstrip("/") or ".", "kind": "sequence", **sequence}


def _label(sequence: dict[str, Any]) -> str:
    """Name a sequence by its range, ``reel_0001-0240.dpx``: no file is called that, and every system can store it."""
    width = sequence["sequence.padding"]
    span = f"{sequence['sequence.start']:0{width}d}-{sequence['sequence.end']:0{width}d}"
    return f"{sequence['sequence.prefix']}{span}{sequence['sequence.suffix']}"


def _sequences(names: list[str]) -> dict[str, dict[str, Any]]:
    """Map each picture that is a frame to its sequence; frames of one sequence share the same object."""
    alike: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        stem, ending = os.path.splitext(name)
        found = _NUMBERED.match(stem)
        if found:
            alike[found[1], found[3] + ending].append((found[2], name))
    framed: dict[str, dict[str, Any]] = {}
    for (prefix, suffix), frames in alike.items():
        for padding, members in _by_padding(frames).items():
            if len(members) >= MIN_SEQUENCE_FILES:
                sequence = _sequence(prefix, suffix, padding, sorted(int(digits) for digits, _ in members))
                framed.update((name, sequence) for _, name in members)
    return framed


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


def _notes(passed_over: Counter[str]) -> Iterator[str]:
    sounds = sum(count for ending, count in passed_over.items() if ending in kinds.SOUNDS)
    others = Counter({ending: count for ending, count in passed_over.items() if ending not in kinds.SOUNDS})
    if sounds:
        yield f"Sound files were passed over ({sounds}); sound is taken from inside the films"
    if others:
        shown = ", ".join(f"{visible(ending)[:20]} ({count})" for ending, count in others.most_common(_SHOWN_SUFFIXES))
        yield f"Files of other kinds were passed over: {shown}"
