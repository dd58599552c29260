"""Reader of a plain folder, or of one media file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from db.settings import DATABASE_FILE
from orchestrator.manifest import checksums, kinds
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, problem
from orchestrator.manifest.places import folder_entries
from orchestrator.terminal_text import visible_path

HOME_MARK = DATABASE_FILE
"""A folder that holds this file is a home of ours, not an archive."""
_SHOWN_NAMES = 3


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
    grouping = Grouping(reading.series)
    left_out = LeftOut()
    number = lists = 0
    for listing in walk(path):
        inside = os.path.relpath(listing.path, path)
        inside = "" if inside == "." else inside
        if fault := left_out.problem(number + 1, listing, inside):
            number += 1
            yield fault
        others = (name for name in listing.names if kinds.by_suffix(name) is None)
        lists += sum(checksums.algorithm_of(Path(name)) is not None for name in others)
        for group in grouping.groups(inside, listing.names):
            number += 1
            yield ManifestEntry(number, group.fields(inside))
    reading.notes.extend([*grouping.notes(), *left_out.notes()])
    if lists:
        reading.notes.append(f"Lists of digests lie there ({lists}); give one as the manifest to have files compared")


class FolderListing(NamedTuple):
    """What lies in one folder."""

    path: str
    names: list[str]
    """Names of what is not a folder in it, sorted."""
    fault: str = ""
    """Why it cannot be listed or entered; empty when it could."""
    is_home: bool = False
    """Whether it is a home of Reelwright, of which nothing is listed."""
    links: tuple[str, ...] = ()
    """Names of links to folders in it, which are not followed."""
    hidden: int = 0
    """Files and folders in it whose names begin with a dot."""


class LeftOut:
    """Counts the folders of which nothing is taken."""

    def __init__(self) -> None:
        self._denied = self._hidden = 0
        self._homes, self._links = list[str](), list[str]()

    def problem(self, number: int, listing: FolderListing, name: str) -> Problem | None:
        """Return the problem of a folder that cannot be looked into, which is called ``name``."""
        self._denied += bool(listing.fault)
        self._hidden += listing.hidden
        if listing.is_home:
            self._homes.append(visible_path(name or ".")[-200:])
        self._links.extend(visible_path(os.path.join(name, link))[-200:] for link in listing.links)
        message = f"The folder {visible_path(name or '.')!r:.300} cannot be looked into: {listing.fault}"
        return problem(number, "SOURCE_DENIED", message) if listing.fault else None

    def notes(self) -> Iterator[str]:
        """Yield a sentence for each reason to leave folders out."""
        if self._denied:
            yield f"Folders that cannot be looked into: {self._denied}; what lies in them is not in this manifest"
        if self._homes:
            yield f"Homes of Reelwright (folders with {HOME_MARK}) were left out: {_format_names(self._homes)}"
        if self._hidden:
            yield f"Hidden files and folders were passed over: {self._hidden}"
        if self._links:
            yield f"Links to folders were not followed ({len(self._links)}): {_format_names(self._links)}"


def _format_names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (" and others" if len(names) > _SHOWN_NAMES else "")


def walk(root: Path) -> Iterator[FolderListing]:
    """Yield what lies in each folder below ``root``, in order; links to folders are not followed."""
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            entries = folder_entries(folder)
        except OSError as error:
            yield FolderListing(folder, [], fault=error.strerror or type(error).__name__)
            continue
        inside = [entry for entry in entries if not entry.name.startswith(".")]
        if any(entry.name == HOME_MARK for entry in inside):
            yield FolderListing(folder, [], is_home=True)
            continue
        below = [entry for entry in inside if _is_folder(entry, follow_symlinks=False)]
        links = [entry.name for entry in inside if entry.is_symlink() and _is_folder(entry)]
        names = [entry.name for entry in inside if not _is_folder(entry)]
        yield FolderListing(folder, names, links=tuple(links), hidden=len(entries) - len(inside))
        folders.extend(entry.path for entry in reversed(below))


def _is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool = True) -> bool:
    """Whether an entry is a folder; what cannot be looked at is a file, and fails as such."""
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:  # a link to itself, or into a folder that may not be entered
        return False
