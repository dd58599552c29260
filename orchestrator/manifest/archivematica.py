"""Reader of transfers as Archivematica has them: ``metadata/metadata.csv`` and ``metadata/checksum.*``.

Used by ``orchestrator.manifest`` alone. A row names a file or a folder below ``objects``; a folder stands for every
still and reel in it that no row of its own names. Without ``metadata.csv`` everything below ``objects`` is meant.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from db import checksums as digests
from db.errors import ManifestError
from orchestrator.manifest import checksums, fields, folder, inventory, kinds, table, text
from orchestrator.manifest.grouping import Group, Grouping
from orchestrator.manifest.inventory import Inventory
from orchestrator.manifest.lines import Entry, Known, Problem, Reading, problem
from orchestrator.manifest.places import OTHER_FORM, as_on_disk, is_paper
from orchestrator.terminal_text import visible

METADATA, OBJECTS, ROWS, LISTS = "metadata", "objects", "metadata.csv", "checksum."
_NAMES = ("filename", "parts")
"""What the first column is called."""
_SNIFFED_BYTES = 65_536
_SOUNDS = tuple(spelled for suffix in ("wav", "bwf", "flac", "aif", "aiff") for spelled in (suffix, suffix.upper()))
_OURS = frozenset(fields.CHECKS) - {"id", "kind", "uri", "listing"}
"""Columns that mean here what they mean in a manifest of our own."""


def recognises(path: Path) -> Known | None:
    """Know a transfer's folder, its ``metadata.csv``, and a list of digests in its ``metadata``, which means all."""
    if path.is_dir():
        papers = path / METADATA
        return Known(path, ()) if is_paper(papers / ROWS, path) or _lists(papers) else None
    if not path.is_file():
        return None
    inside = path.parent.name == METADATA
    root = path.parent.parent if inside else path.parent
    if path.suffix.lower() == ".csv" and _header(path):
        return Known(root, (path, *_lists(path.parent)))
    return Known(root, ()) if inside and path in _lists(path.parent) else None


def read(path: Path, reading: Reading) -> Iterator[Entry | Problem]:
    """Yield the entries of a transfer: row by row, or folder by folder where there are no rows.

    Raises:
        ManifestError: ``metadata.csv`` or a list of digests cannot be read on.
    """
    rows = path / METADATA / ROWS if path.is_dir() else path
    papers = rows.parent
    root = papers.parent if papers.name == METADATA else papers
    with inventory.opened() as files:
        transfer = _Transfer(root, files)
        for paper in _lists(papers):
            yield from _take(paper, transfer, files, reading)
        if is_paper(rows, root):
            yield from _rows(transfer, rows, reading)
        else:
            yield from transfer.below(OBJECTS, 0, {})
        reading.notes.extend(transfer.notes())


class _Transfer:
    """The files of a transfer, and the digests that its lists give."""

    def __init__(self, root: Path, files: Inventory) -> None:
        self.root, self._files = root, files
        # A transfer that has not been taken in yet has no folder `objects`: what will be in it lies beside `metadata`.
        self._unfolded = not (root / OBJECTS).is_dir()
        self._grouping = Grouping()
        self._passed_over: Counter[str] = Counter()
        self._empty = 0
        self._other_form = False
        self.named: set[int] = set()
        """Hashes of the paths that rows name: they are not taken again with the folder that they lie in."""

    def entries(self, name: str, number: int, given: dict[str, Any]) -> Iterator[Entry | Problem]:
        """Yield what one row stands for."""
        path = self.on_disk(posixpath.normpath(name))
        place = self._place(path)
        if path.startswith(("/", "../")) or path == "..":
            yield Entry(number, {**given, "id": name, "uri": name})  # refused like any path that leads outside
        elif os.path.isdir(self.root / place):
            if self._inside(place):
                yield from self.below(path, number, given)
            else:
                message = f"Line {number}: {visible(path[:200])!r} is a link that leads outside"
                yield problem(number, "PATH_UNSAFE", message)
        elif kinds.by_suffix(path) is not None:
            yield self._file(path, place, number, given)
        elif kinds.suffix(path):
            self._passed_over[kinds.suffix(path)] += 1
        else:
            yield problem(number, "FILE_MISSING", f"Line {number}: there is no folder {visible(path[:200])!r}")

    def below(self, path: str, number: int, given: dict[str, Any]) -> Iterator[Entry | Problem]:
        """Yield an entry for each still and reel below a folder; a single reel is called as the folder is."""
        groups = self._groups(path)
        first = list(islice(groups, 2))
        single = len(first) == 1 and kinds.suffix(first[0][1].name) in kinds.PICTURES | kinds.FILMS
        for count, (inside, group) in enumerate(_chained(first, groups), 1):
            own = group.fields(inside)
            reel = bool(group.sequence) or kinds.suffix(group.name) in kinds.FILMS
            own["id"] = path if single and reel and number else own.get("id", own["uri"])
            if single and reel and not group.sound:
                own.update(self._sound(self._place(path)))
            elif group.sound:
                own.update(self._with_digest(group.sound))
            yield self._entry(inside, group, {**given, **own}, number or count)
        self._empty += not first

    def on_disk(self, path: str) -> str:
        """Return the path of a row or a list in the Unicode form that it has on the disk."""
        place = self._place(path)
        found = as_on_disk(self.root, place)
        if found == place:
            return path
        self._other_form = True
        return path[: len(path) - len(place)] + found

    def notes(self) -> Iterator[str]:
        """Yield what was passed over, and what else is worth knowing."""
        if self._other_form:
            yield OTHER_FORM
        yield from self._grouping.notes()
        if self._passed_over:
            shown = ", ".join(f"{visible(name)[:20]} ({count})" for name, count in self._passed_over.most_common(6))
            yield f"Rows of files of other kinds were passed over: {shown}"
        if self._empty:
            yield f"Folders without stills and reels were passed over: {self._empty}"

    def _groups(self, path: str) -> Iterator[tuple[str, Group]]:
        """Yield what lies below a folder and is named by no row of its own, with the folder of each inside the root."""
        left_out = ""
        start = self._place(path)
        for where, names in folder.walk(self.root / start if start else self.root):
            inside = os.path.relpath(where, self.root)
            inside = "" if inside == "." else inside
            told = self._told(inside)
            if (left_out and f"{told}/".startswith(left_out)) or (
                self._unfolded and f"{inside}/".startswith(f"{METADATA}/")
            ):
                continue
            if told != path and hash(told) in self.named:
                left_out = f"{told}/"
                continue
            free = [name for name in names if hash(f"{told}/{name}" if told else name) not in self.named]
            for group in self._grouping.groups(inside, free):
                yield inside, group

    def _file(self, path: str, place: str, number: int, given: dict[str, Any]) -> Entry:
        found = self._files.file(path)
        sound = self._sound(os.path.splitext(place)[0]) if kinds.suffix(path) in kinds.FILMS else {}
        own = {"id": path, "uri": place, **sound, **found.fields}
        return Entry(number, {**given, **own}, tuple(found.problems))

    def _entry(self, inside: str, group: Group, own: dict[str, Any], number: int) -> Entry:
        told = self._told(inside)
        found = [self._files.file(f"{told}/{name}" if told else name) for name in group.members]
        if group.sequence:
            entry = inventory.sequence(own, found)
            return entry._replace(number=number)
        return Entry(number, {**own, **found[0].fields}, tuple(found[0].problems))

    def _sound(self, stem: str) -> dict[str, str]:
        """Return the sound file of that name, if there is one."""
        there = (f"{stem}.{suffix}" for suffix in _SOUNDS)
        return next((self._with_digest(sound) for sound in there if os.path.isfile(self.root / sound)), {})

    def _with_digest(self, sound: str) -> dict[str, str]:
        inside, _, name = sound.rpartition("/")
        return {"sound": sound, **inventory.sound_checksum(self._files, posixpath.join(self._told(inside), name))}

    def _place(self, path: str) -> str:
        """Return where a path of a row lies inside the root."""
        if self._unfolded and (path == OBJECTS or path.startswith(f"{OBJECTS}/")):
            return path[len(OBJECTS) + 1 :]
        return path

    def _told(self, inside: str) -> str:
        """Return how a row calls a folder inside the root."""
        return posixpath.join(OBJECTS, inside) if self._unfolded and inside else OBJECTS if self._unfolded else inside

    def _inside(self, place: str) -> bool:
        root = os.path.realpath(self.root)
        return f"{os.path.realpath(self.root / place)}/".startswith(f"{root}/")


def _rows(transfer: _Transfer, path: Path, reading: Reading) -> Iterator[Entry | Problem]:
    rows = table.rows(path, reading.limit_bytes)
    _, header = next(rows, (1, []))
    if isinstance(header, Problem):
        raise ManifestError(f"{visible(str(path))}: {header.message}")
    names = [_column(name.strip(), place) for place, name in enumerate(header)]
    transfer.named.update(hash(transfer.on_disk(name)) for name in _named(path, reading))
    for number, row in rows:
        if isinstance(row, Problem):
            yield row
        elif any(cell.strip() for cell in row[len(names) :]):
            yield problem(number, "BAD_VALUE", f"Line {number} has {len(row)} cells, the header has {len(names)}")
        elif name := row[0].strip():
            yield from transfer.entries(name, number, _given(names[1:], row[1:]))


def _named(path: Path, reading: Reading) -> Iterator[str]:
    """Yield what the rows name. A first walk through them: a folder must know which of its files have their own row."""
    for _, row in islice(table.rows(path, reading.limit_bytes), 1, None):
        if not isinstance(row, Problem) and row[0].strip():
            yield posixpath.normpath(row[0].strip())


def _column(name: str, place: int) -> str:
    lower = name.lower()
    if place == 0 or lower in _OURS or lower in digests.HEX_CHARS:
        return f"checksum.{lower}" if lower in digests.HEX_CHARS else lower
    head = lower.partition(".")[0]
    taken = lower in fields.CHECKS or lower in fields.REPORTED or head in ("sequence", "checksum", "params")
    return f"x_{lower}" if taken or not name else name


def _given(names: list[str], cells: list[str]) -> dict[str, Any]:
    """Return a row's fields; a name that stands several times in the header has a list."""
    found: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        value = cell.strip()
        if value:
            found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _take(paper: Path, transfer: _Transfer, files: Inventory, reading: Reading) -> Iterator[Problem]:
    """Put a list of digests into the inventory: its paths count from ``objects``, or from the transfer's root."""
    outside = 0
    for found in checksums.listed(paper, reading.limit_bytes):
        if isinstance(found, Problem):
            yield found
            continue
        path = posixpath.normpath(found.path)
        if not path.startswith(f"{OBJECTS}/"):
            path = posixpath.normpath(f"{OBJECTS}/{path}")
        if path.startswith(f"{OBJECTS}/"):
            files.add(transfer.on_disk(path), found.number, {f"checksum.{found.algorithm}": found.digest})
        else:
            outside += 1
    if outside:
        reading.notes.append(f"{paper.name} names {outside} files outside of {OBJECTS}; they were passed over")


def _lists(papers: Path) -> list[Path]:
    """Return the lists of digests in a folder, in the order of their names."""
    try:
        paths = [papers / name for name in sorted(os.listdir(papers)) if name.startswith(LISTS)]
    except OSError:
        return []
    return [path for path in paths if checksums.algorithm_of(path) and is_paper(path, papers)]


def _header(path: Path) -> bool:
    """Whether a CSV file begins with a column of file names, and is none of our own manifests."""
    begins = text.start(path, _SNIFFED_BYTES).partition("\n")[0]
    names = [name.strip().lower() for name in table.split(begins)]
    return bool(names) and names[0] in _NAMES and "uri" not in names


def _chained(first: list[tuple[str, Group]], rest: Iterator[tuple[str, Group]]) -> Iterator[tuple[str, Group]]:
    yield from first
    yield from rest
