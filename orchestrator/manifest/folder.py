"""Reader of a plain folder, or of one media file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from db.settings import DATABASE_FILE
from orchestrator.manifest import checksums, kinds
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading

HOME_MARK = DATABASE_FILE
"""A folder that holds this file is a home of ours, not an archive."""


def recognizes(path: Path) -> ReaderMatch | None:
    """Know every folder, and every single picture or film."""
    if path.is_dir():
        return ReaderMatch(path, ())
    return ReaderMatch(path.parent, (path,)) if kinds.by_suffix(path.name) is not None else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each still and reel below the folder, folder by folder, in the order of their names.

    Numbered pictures that differ in nothing but the number are one reel, other pictures are stills, films are reels; a
    sound file named like a reel belongs to it. Hidden files are passed over, links to folders are not followed, and
    homes of Reelwright are left out.
    """
    if not path.is_dir():
        yield ManifestEntry(1, {"uri": path.name})
        return
    grouping = Grouping()
    number = lists = 0
    for folder, names in walk(path):
        others = (name for name in names if kinds.by_suffix(name) is None)
        lists += sum(checksums.algorithm_of(Path(name)) is not None for name in others)
        inside = os.path.relpath(folder, path)
        inside = "" if inside == "." else inside
        for group in grouping.groups(inside, names):
            number += 1
            yield ManifestEntry(number, group.fields(inside))
    reading.notes.extend(grouping.notes())
    if lists:
        reading.notes.append(f"Lists of digests lie there ({lists}); give one as the manifest to have files compared")


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder below ``root``, in order, with the sorted names of what is not a folder in it."""
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as folder_entries:
                inside = sorted(
                    (entry for entry in folder_entries if not entry.name.startswith(".")), key=lambda entry: entry.name
                )
        except OSError:
            continue  # a folder that may not be read holds nothing for us; its files would fail one by one
        names = [entry.name for entry in inside]
        if HOME_MARK in names:
            continue
        yield folder, [entry.name for entry in inside if not entry.is_dir()]
        folders.extend(entry.path for entry in reversed(inside) if entry.is_dir(follow_symlinks=False))
