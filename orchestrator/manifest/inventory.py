"""Lists of files in any order, given back folder by folder with all that was said of each. Readers use it alone.

The lists may name millions of files, and several may speak of the same one. They are sorted on disk, so that memory
holds one folder's files and no more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Any

from db import checksums
from db.errors import ManifestError
from orchestrator.manifest.fields import id_of
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import ManifestEntry, Problem, problem

_BATCH_ROWS = 1000
_SHOWN_FILES = 5
_CACHE_KIB = 16_384
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_CHECKSUM = "checksum."
THERE, AWAY, FAULT = "there", "away", "fault"
"""What a row may say besides an entry's fields: the file was seen, it is to be had elsewhere, ``[code, message]``."""
_MARKS = frozenset({THERE, AWAY, FAULT})
Review = Callable[[list["File"]], list["File"]]


@dataclass
class File:
    """One file, and what all rows about it say."""

    name: str
    number: int = 0
    """Line that named it first; 0 when none did."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Fields of an entry: ``checksum.…``, ``bytes``, ``version_id``; and the marks."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, Any]:
        """What the rows say of it that is an entry's."""
        return {name: value for name, value in self.facts.items() if name not in _MARKS}

    @property
    def digests(self) -> dict[str, str]:
        """Its digests, by algorithm."""
        return {name[len(_CHECKSUM) :]: digest for name, digest in self.facts.items() if name.startswith(_CHECKSUM)}

    def add(self, number: int, facts: Mapping[str, Any]) -> None:
        """Take what another row says of the same file."""
        self.number = self.number or number
        if FAULT in facts:
            code, message = facts[FAULT]
            self.problems.append(problem(number, code, message))
        for name, value in facts.items():
            if self.facts.setdefault(name, value) != value and name not in _MARKS:
                message = f"Line {number} gives another {name} for {self.name!r:.200} than line {self.number}"
                self.problems.append(problem(number, "BAD_VALUE", message, "Find out which one is right."))


class Inventory:
    """The files that lists name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[bytes, bytes, int, str]] = []
        self._closed = False

    def add(self, path: str, number: int, facts: Mapping[str, Any]) -> None:
        """Note what line ``number`` says of the file at ``path``, whose parts are separated by slashes."""
        folder, _, name = path.rpartition("/")
        self._waiting.append((_encode(folder), _encode(name), number, json.dumps(facts)))
        if len(self._waiting) >= _BATCH_ROWS:
            self._flush()

    def folders(self) -> Iterator[tuple[str, list[File]]]:
        """Yield each folder with its files, in the order of their names; a folder comes before those in it."""
        self._close()
        rows = self._connection.execute("SELECT folder, name, number, facts FROM row ORDER BY folder, name, number")
        for folder, inside in groupby(rows, lambda row: row[0]):
            yield _decode(folder), list(_merge_rows(inside))

    def file(self, path: str) -> File:
        """Return what was said of one file; of one that no row names, nothing."""
        self._close()
        folder, _, name = path.rpartition("/")
        rows = self._connection.execute(
            "SELECT number, facts FROM row WHERE folder = ? AND name = ? ORDER BY number",
            (_encode(folder), _encode(name)),
        )
        file = File(name)
        for number, facts in rows:
            file.add(number, json.loads(facts))
        return file

    def _close(self) -> None:
        """End the adding, once: from here on files are asked for."""
        if not self._closed:
            self._flush()
            self._connection.execute("CREATE INDEX by_path ON row (folder, name, number)")
            self._closed = True

    def _flush(self) -> None:
        self._connection.executemany("INSERT INTO row VALUES (?, ?, ?, ?)", self._waiting)
        self._waiting.clear()


@contextmanager
def open_inventory() -> Iterator[Inventory]:
    """Open an empty inventory, on disk as soon as it outgrows its cache; nobody else sees it, and it leaves nothing.

    Raises:
        ManifestError: ``NO_SPACE`` when the folder for temporary files has no room for it.
    """
    connection = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE row (folder BLOB, name BLOB, number INTEGER, facts TEXT)")
        connection.execute("BEGIN")
        yield Inventory(connection)
    except sqlite3.OperationalError as error:
        message = f"The lists of this manifest cannot be sorted on disk: {error}"
        remedy = "Make room in the folder for temporary files, or set TMPDIR to another one."
        raise ManifestError(message, code="NO_SPACE", remedy=remedy) from error
    finally:
        connection.close()


def entries(
    inventory: Inventory,
    grouping: Grouping,
    *,
    below: str = "",
    without: str = "",
    review: Review = list,
    strict: bool = False,
    free: Mapping[str, Any] = _NOTHING,
) -> Iterator[ManifestEntry]:
    """Yield an entry for each still and reel of an inventory.

    Args:
        inventory: The files.
        grouping: What puts frames together and finds their sound.
        below: What comes before each path in its URI, such as ``s3://``.
        without: How paths begin, where ids do without it.
        review: Given a folder's files, returns those to take; it may add to their problems.
        strict: Whether a file without any digest is a problem.
        free: Fields that every entry gains.
    """
    for folder, files in inventory.folders():
        versions = _group_by_name(review(files))
        alone = frozenset(name for name, same in versions.items() if "version_id" in same[0].facts)
        for group in grouping.groups(folder, list(versions), alone=alone):
            fields = {
                **free,
                **_prefix_paths(group.fields(folder), below, without),
                **sound_checksum(inventory, group.sound),
            }
            if group.sequence:
                yield sequence(fields, [versions[name][0] for name in group.members], strict=strict)
            else:
                yield from _single_entries(fields, versions[group.name], strict=strict)


def sequence(fields: dict[str, Any], files: list[File], *, strict: bool = False) -> ManifestEntry:
    """Return the entry of a sequence; where lists give digests of its files, they must give them of all."""
    problems = [each for file in files for each in file.problems]
    unlisted = [file for file in files if not file.digests]
    if unlisted and (strict or len(unlisted) < len(files)):
        problems.append(_missing_digest_problem(unlisted))
    if len(problems) > _SHOWN_FILES:
        more = f"{len(problems) - _SHOWN_FILES} more files of this sequence have problems"
        problems[_SHOWN_FILES:] = [problem(_first_number(files), problems[_SHOWN_FILES].code, more)]
    listing = checksums.dump((file.name, file.digests) for file in files)
    return ManifestEntry(_first_number(files), fields, tuple(problems), listing)


def _single_entries(fields: dict[str, Any], versions: list[File], *, strict: bool) -> Iterator[ManifestEntry]:
    for count, file in enumerate(versions):
        own_id = {"id": f"{fields.get('id', id_of(fields['uri']))}#{file.facts['version_id']}"} if count else {}
        problems = [*file.problems, _missing_digest_problem([file])] if strict and not file.digests else file.problems
        yield ManifestEntry(file.number, {**fields, **own_id, **file.fields}, tuple(problems))


def _missing_digest_problem(files: list[File]) -> Problem:
    names = ", ".join(repr(file.name[:100]) for file in files[:_SHOWN_FILES])
    more = f" and {len(files) - _SHOWN_FILES} more" if len(files) > _SHOWN_FILES else ""
    return problem(_first_number(files), "FILE_UNEXPECTED", f"No list of digests names {names}{more}")


def _first_number(files: list[File]) -> int:
    return min((file.number for file in files if file.number), default=0)


def sound_checksum(inventory: Inventory, path: str) -> dict[str, str]:
    """Return the field ``sound_checksum`` of the sound file at a path; nothing where no list gives its digest."""
    digests = inventory.file(path).digests if path else {}
    return {"sound_checksum": checksums.format_digests(digests)} if digests else {}


def _prefix_paths(fields: dict[str, Any], below: str, without: str) -> dict[str, Any]:
    if not below:
        return fields
    paths: dict[str, Any] = {name: below + fields[name] for name in ("uri", "sound") if name in fields}
    name = fields.get("id", id_of(fields["uri"]))
    return {**fields, "id": name.removeprefix(id_of(without)), **paths}


def _group_by_name(files: list[File]) -> dict[str, list[File]]:
    by_name: dict[str, list[File]] = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file)
    return by_name


def _merge_rows(rows: Iterable[tuple[bytes, bytes, int, str]]) -> Iterator[File]:
    """Join the rows of one folder that speak of the same file, and of the same version of it."""
    for name, same in groupby(rows, lambda row: row[1]):
        versions: dict[str, File] = {}
        for _, _, number, text in same:
            facts = json.loads(text)
            versions.setdefault(facts.get("version_id", ""), File(_decode(name))).add(number, facts)
        yield from versions.values()


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _decode(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
