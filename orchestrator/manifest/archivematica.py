"""Reader of transfers as Archivematica has them: ``metadata/metadata.csv`` and ``metadata/checksum.*``.

Used by ``orchestrator.manifest`` alone. A row names a file or a folder below ``objects``; a folder stands for every
still and reel in it that no row of its own names. Without ``metadata.csv`` everything below ``objects`` is meant.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from db import checksums as digests
from db.errors import ManifestError
from orchestrator.manifest import checksums, fields, folder, inventory, kinds, table, text
from orchestrator.manifest.grouping import FileGroup, Grouping
from orchestrator.manifest.inventory import Inventory
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, guard_line, problem
from orchestrator.manifest.places import OTHER_FORM, as_on_disk, is_paper
from orchestrator.manifest.series import SeriesJudge
from orchestrator.terminal_text import visible

METADATA, OBJECTS, ROWS, LISTS = "metadata", "objects", "metadata.csv", "checksum."
_NAMES = ("filename", "parts")
"""What the first column is called."""
_SNIFFED_BYTES = 65_536
_SOUNDS = tuple(spelled for suffix in ("wav", "bwf", "flac", "aif", "aiff") for spelled in (suffix, suffix.upper()))
_OURS = frozenset(fields.CHECKS) - {"id", "kind", "uri", "listing"}
"""Columns that mean here what they mean in a manifest of our own."""


def recognizes(path: Path) -> ReaderMatch | None:
    """Know a transfer's folder, its ``metadata.csv``, and a list of digests in its ``metadata``, which means all."""
    if path.is_dir():
        metadata = path / METADATA
        return ReaderMatch(path, ()) if is_paper(metadata / ROWS, path) or _digest_lists(metadata) else None
    if not path.is_file():
        return None
    inside = path.parent.name == METADATA
    root = path.parent.parent if inside else path.parent
    if path.suffix.lower() == ".csv" and _has_name_column(path):
        return ReaderMatch(root, (path, *_digest_lists(path.parent)))
    return ReaderMatch(root, ()) if inside and path in _digest_lists(path.parent) else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield the entries of a transfer: row by row, or folder by folder where there are no rows.

    Raises:
        ManifestError: ``metadata.csv`` or a list of digests cannot be read on.
    """
    rows = path / METADATA / ROWS if path.is_dir() else path
    metadata = rows.parent
    root = metadata.parent if metadata.name == METADATA else metadata
    with inventory.open_inventory() as files:
        transfer = _Transfer(root, files, reading.series)
        for digest_list in _digest_lists(metadata):
            yield from _take_list(digest_list, transfer, files, reading)
        if is_paper(rows, root):
            yield from _row_entries(transfer, rows, reading)
        else:
            yield from transfer.entries_below(OBJECTS, 0, {})
        reading.notes.extend(transfer.notes())


class _Transfer:
    """The files of a transfer, and the digests that its lists give."""

    def __init__(self, root: Path, files: Inventory, series: SeriesJudge) -> None:
        self.root, self._files = root, files
        # A transfer that has not been taken in yet has no folder `objects`: what will be in it lies beside `metadata`.
        self._unfolded = not (root / OBJECTS).is_dir()
        self._grouping = Grouping(series)
        self._passed_over: Counter[str] = Counter()
        self._left_out = folder.LeftOut()
        self._faults: list[Problem] = []
        self._empty = 0
        self._other_form = False
        self.named: set[int] = set()
        """Hashes of the paths that rows name: they are not taken again with the folder that they lie in."""

    def entries(self, name: str, number: int, row_fields: dict[str, Any]) -> Iterator[ManifestEntry | Problem]:
        """Yield what one row stands for."""
        path = self.on_disk(posixpath.normpath(name))
        disk_path = self._disk_path(path)
        if path.startswith(("/", "../")) or path == "..":
            yield ManifestEntry(
                number, {**row_fields, "id": name, "uri": name}
            )  # refused like any path that leads outside
        elif os.path.isdir(self.root / disk_path):
            if self._is_inside(disk_path):
                yield from self.entries_below(path, number, row_fields)
            else:
                message = f"Line {number}: {visible(path[:200])!r} is a link that leads outside"
                yield problem(number, "PATH_UNSAFE", message)
        elif kinds.by_suffix(path) is not None:
            yield self._file_entry(path, disk_path, number, row_fields)
        elif kinds.suffix(path):
            self._passed_over[kinds.suffix(path)] += 1
        else:
            yield problem(number, "FILE_MISSING", f"Line {number}: there is no folder {visible(path[:200])!r}")

    def entries_below(self, path: str, number: int, row_fields: dict[str, Any]) -> Iterator[ManifestEntry | Problem]:
        """Yield an entry for each still and reel below a folder; a single reel is called as the folder is."""
        groups = self._groups(path)
        first = list(islice(groups, 2))
        single = len(first) == 1 and kinds.suffix(first[0][1].name) in kinds.PICTURES | kinds.FILMS
        for count, (inside, group) in enumerate(_chain(first, groups), 1):
            entry_fields = group.fields(inside)
            reel = bool(group.sequence) or kinds.suffix(group.name) in kinds.FILMS
            entry_fields["id"] = fields.id_of(path if single and reel and number else "") or entry_fields.get(
                "id", fields.id_of(entry_fields["uri"])
            )
            if single and reel and not group.sound:
                entry_fields.update(self._sound_fields(self._disk_path(path)))
            elif group.sound:
                entry_fields.update(self._sound_with_digest(group.sound))
            yield self._group_entry(inside, group, {**row_fields, **entry_fields}, number or count)
        self._empty += not first
        yield from (replace(fault, line=number) for fault in self._faults)
        self._faults.clear()

    def on_disk(self, path: str) -> str:
        """Return the path of a row or a list in the Unicode form that it has on the disk."""
        disk_path = self._disk_path(path)
        actual = as_on_disk(self.root, disk_path)
        if actual == disk_path:
            return path
        self._other_form = True
        return path[: len(path) - len(disk_path)] + actual

    def notes(self) -> Iterator[str]:
        """Yield what was passed over, and what else is worth knowing."""
        if self._other_form:
            yield OTHER_FORM
        yield from self._grouping.notes()
        yield from self._left_out.notes()
        if self._passed_over:
            counts = ", ".join(f"{visible(name)[:20]} ({count})" for name, count in self._passed_over.most_common(6))
            yield f"Rows of files of other kinds were passed over: {counts}"
        if self._empty:
            yield f"Folders without stills and reels were passed over: {self._empty}"

    def _groups(self, path: str) -> Iterator[tuple[str, FileGroup]]:
        """Yield what lies below a folder and is named by no row of its own, with the folder of each inside the root."""
        skip_prefix = ""
        start = self._disk_path(path)
        for listing in folder.walk(self.root / start if start else self.root):
            inside = os.path.relpath(listing.path, self.root)
            inside = "" if inside == "." else inside
            if fault := self._left_out.problem(0, listing, inside):
                self._faults.append(fault)
            row_path = self._row_path(inside)
            if (skip_prefix and f"{row_path}/".startswith(skip_prefix)) or (
                self._unfolded and f"{inside}/".startswith(f"{METADATA}/")
            ):
                continue
            if row_path != path and hash(row_path) in self.named:
                skip_prefix = f"{row_path}/"
                continue
            free = [
                name for name in listing.names if hash(f"{row_path}/{name}" if row_path else name) not in self.named
            ]
            for group in self._grouping.groups(inside, free):
                yield inside, group

    def _file_entry(self, path: str, disk_path: str, number: int, row_fields: dict[str, Any]) -> ManifestEntry:
        file = self._files.file(path)
        sound = self._sound_fields(os.path.splitext(disk_path)[0]) if kinds.suffix(path) in kinds.FILMS else {}
        entry_fields = {"id": fields.id_of(path), "uri": disk_path, **sound, **file.fields}
        return ManifestEntry(number, {**row_fields, **entry_fields}, tuple(file.problems))

    def _group_entry(self, inside: str, group: FileGroup, entry_fields: dict[str, Any], number: int) -> ManifestEntry:
        row_path = self._row_path(inside)
        files = [self._files.file(f"{row_path}/{name}" if row_path else name) for name in group.members]
        if group.sequence:
            entry = inventory.sequence(entry_fields, files)
            return entry._replace(number=number)
        return ManifestEntry(number, {**entry_fields, **files[0].fields}, tuple(files[0].problems))

    def _sound_fields(self, stem: str) -> dict[str, str]:
        """Return the sound file of that name, if there is one."""
        candidates = (f"{stem}.{suffix}" for suffix in _SOUNDS)
        return next((self._sound_with_digest(sound) for sound in candidates if os.path.isfile(self.root / sound)), {})

    def _sound_with_digest(self, sound: str) -> dict[str, str]:
        inside, _, name = sound.rpartition("/")
        return {"sound": sound, **inventory.sound_checksum(self._files, posixpath.join(self._row_path(inside), name))}

    def _disk_path(self, path: str) -> str:
        """Return where a path of a row lies inside the root."""
        if self._unfolded and (path == OBJECTS or path.startswith(f"{OBJECTS}/")):
            return path[len(OBJECTS) + 1 :]
        return path

    def _row_path(self, inside: str) -> str:
        """Return how a row calls a folder inside the root."""
        return posixpath.join(OBJECTS, inside) if self._unfolded and inside else OBJECTS if self._unfolded else inside

    def _is_inside(self, place: str) -> bool:
        root = os.path.realpath(self.root)
        return f"{os.path.realpath(self.root / place)}/".startswith(f"{root}/")


def _row_entries(transfer: _Transfer, path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    rows = table.rows(path, reading.limit_bytes)
    _, header = next(rows, (1, []))
    if isinstance(header, Problem):
        raise ManifestError(f"{visible(str(path))}: {header.message}")
    names = [_column_name(name.strip(), place) for place, name in enumerate(header)]
    transfer.named.update(hash(transfer.on_disk(name)) for name in _row_names(path, reading))
    for number, row in rows:
        if isinstance(row, Problem):
            yield row
        elif any(cell.strip() for cell in row[len(names) :]):
            yield problem(number, "BAD_VALUE", f"Line {number} has {len(row)} cells, the header has {len(names)}")
        elif name := row[0].strip():
            yield from guard_line(number, transfer.entries(name, number, _row_fields(names[1:], row[1:])))


def _row_names(path: Path, reading: Reading) -> Iterator[str]:
    """Yield what the rows name. A first walk through them: a folder must know which of its files have their own row."""
    for _, row in islice(table.rows(path, reading.limit_bytes), 1, None):
        if not isinstance(row, Problem) and row[0].strip():
            yield posixpath.normpath(row[0].strip())


def _column_name(name: str, place: int) -> str:
    lower = name.lower()
    if place == 0 or lower in _OURS or lower in digests.HEX_CHARS:
        return f"checksum.{lower}" if lower in digests.HEX_CHARS else lower
    head = lower.partition(".")[0]
    is_reserved = lower in fields.CHECKS or lower in fields.REPORTED or head in ("sequence", "checksum", "params")
    return f"x_{lower}" if is_reserved or not name else name


def _row_fields(names: list[str], cells: list[str]) -> dict[str, Any]:
    """Return a row's fields; a name that stands several times in the header has a list."""
    cells_by_name: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        value = cell.strip()
        if value:
            cells_by_name.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in cells_by_name.items()}


def _take_list(digest_list: Path, transfer: _Transfer, files: Inventory, reading: Reading) -> Iterator[Problem]:
    """Put a list of digests into the inventory: its paths count from ``objects``, or from the transfer's root."""
    outside = 0
    for line in checksums.digest_lines(digest_list, reading.limit_bytes):
        if isinstance(line, Problem):
            yield line
            continue
        path = posixpath.normpath(line.path)
        if not path.startswith(f"{OBJECTS}/"):
            path = posixpath.normpath(f"{OBJECTS}/{path}")
        if path.startswith(f"{OBJECTS}/"):
            files.add(transfer.on_disk(path), line.number, {f"checksum.{line.algorithm}": line.digest})
        else:
            outside += 1
    if outside:
        reading.notes.append(f"{digest_list.name} names {outside} files outside of {OBJECTS}; they were passed over")


def _digest_lists(directory: Path) -> list[Path]:
    """Return the lists of digests in a folder, in the order of their names."""
    try:
        paths = [directory / name for name in sorted(os.listdir(directory)) if name.startswith(LISTS)]
    except OSError:
        return []
    return [path for path in paths if checksums.algorithm_of(path) and is_paper(path, directory)]


def _has_name_column(path: Path) -> bool:
    """Whether a CSV file begins with a column of file names, and is none of our own manifests."""
    begins = text.start(path, _SNIFFED_BYTES).partition("\n")[0]
    names = [name.strip().lower() for name in table.split(begins)]
    return bool(names) and names[0] in _NAMES and "uri" not in names


def _chain(
    first: list[tuple[str, FileGroup]], rest: Iterator[tuple[str, FileGroup]]
) -> Iterator[tuple[str, FileGroup]]:
    yield from first
    yield from rest
