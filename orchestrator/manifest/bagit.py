"""Reader of BagIt bags (RFC 8493, and the drafts before it).

The bag's own papers are checked here, its payload by the workers: every digest that a manifest gives goes along with
the item, and is compared while the file is read.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db import checksums
from db.errors import ManifestError
from orchestrator.manifest import inventory, kinds, text
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.inventory import AWAY, THERE, File, Inventory
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, problem
from orchestrator.manifest.places import OTHER_FORM, as_on_disk, folder_entries, is_paper
from orchestrator.terminal_text import visible

DECLARATION, INFO, FETCH, PAYLOAD = "bagit.txt", "bag-info.txt", "fetch.txt", "data"
_MAX_DECLARATION_BYTES, _MAX_INFO_BYTES = 1 << 10, 1 << 16
"""A declaration of more is none; of a description no more is read."""
_MAX_INFO_CHARS = 1000
_BLOCK_BYTES = 1 << 20
_DECLARED = re.compile(
    r"BagIt-Version: *(?P<version>0\.9[0-9]|1\.0)[ \t]*\n[ \t]*Tag-File-Character-Encoding: *(?P<encoding>\S+)\s*",
    re.IGNORECASE,
)
_MANIFEST = re.compile(r"(?P<tag>tag)?manifest-(?P<algorithm>[A-Za-z0-9_-]+)\.txt")
_LINE = re.compile(r"([0-9A-Fa-f]+)\s+\*?(.+)")
_FETCHED = re.compile(r"\S+\s+(?:\d+|-)\s+(.+)")
_CARRIED = ("External-Identifier", "External-Description", "Bag-Group-Identifier", "Source-Organization")
"""Labels of the bag's description that every item takes along to the report."""


@dataclass(frozen=True)
class _Bag:
    """A bag, and what its declaration says."""

    root: Path
    version: tuple[int, int]

    def decode_path(self, path: str) -> str:
        """Return a path of a manifest as the disk has it; only line ends and (since 1.0) percent signs are encoded."""
        pattern = r"%(0[AaDd]|25)" if self.version >= (1, 0) else r"%(0[AaDd])"
        return re.sub(pattern, lambda match: chr(int(match[1], 16)), path)

    def manifests(self, *, tag: bool) -> dict[str, Path]:
        """Return the payload's or the tags' manifests by algorithm, those of unknown ones by their own names."""
        paths = {}
        for name in sorted(os.listdir(self.root)):
            match = _MANIFEST.fullmatch(name)
            if match and bool(match["tag"]) is tag:
                self.check(name)
                paths[checksums.algorithm(match["algorithm"]) or match["algorithm"]] = self.root / name
        return paths

    def check(self, name: str) -> None:
        """Make sure that a paper may be read.

        Raises:
            ManifestError: ``PATH_UNSAFE``.
        """
        if not is_paper(self.root / name, self.root):
            raise self.refusal(
                "PATH_UNSAFE", f"its {visible(name[:200])} is no regular file, or is a link that leads outside"
            )

    def refusal(self, code: str, message: str) -> ManifestError:
        """Return the error that refuses the whole bag."""
        return ManifestError(f"Bag {visible(str(self.root))}: {message}", code=code)


def recognizes(path: Path) -> ReaderMatch | None:
    """Know a folder with ``bagit.txt`` in it, and that file itself."""
    if path.name == DECLARATION and path.is_file():
        return ReaderMatch(path.parent, ())
    return ReaderMatch(path, ()) if (path / DECLARATION).is_file() else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each still and reel in the bag's payload, with the digests that its manifests give.

    Raises:
        ManifestError: ``BAD_HEADER`` for a declaration that is none, ``BAG_INCOMPLETE`` without payload or manifest,
            ``FETCH_REFUSED``, and what is wrong with the files that the tag manifests list.
    """
    bag = _read_declaration(path)
    manifests = _payload_manifests(bag, reading)
    fetching = os.path.lexists(bag.root / FETCH)
    if fetching and not reading.settings.allow_fetch:
        raise bag.refusal("FETCH_REFUSED", f"its {FETCH} names files that must be fetched first")
    if not (bag.root / PAYLOAD).is_dir():
        raise bag.refusal("BAG_INCOMPLETE", f"it has no folder {PAYLOAD}")
    if reading.check_files:
        _check_tags(bag, reading)
    info = _read_info(bag, reading)
    grouping = Grouping(reading.series)
    looks = reading.check_files or fetching
    with inventory.open_inventory() as files:
        for algorithm, manifest in manifests.items():
            yield from _take_manifest(bag, files, manifest, reading, f"checksum.{algorithm}")
        if fetching:
            yield from _take_fetched(bag, files, reading)
        payload = _Payload(bag)
        if looks:
            yield from payload.scan(files)
        if looks and not fetching:
            yield from _oxum_problems(info.get("payload-oxum", ""), (payload.bytes, payload.files))
        review = _PayloadReview(tuple(manifests), bag.version >= (1, 0), looks)
        free = {f"bag.{label.lower()}": info[label.lower()] for label in _CARRIED if label.lower() in info}
        yield from inventory.entries(files, grouping, review=review.look, strict=reading.check_files, free=free)
    reading.notes.extend([*review.notes(), *grouping.notes()])


class _PayloadReview:
    """Looks at the files of each folder before they become items."""

    def __init__(self, algorithms: tuple[str, ...], complete: bool, payload_read: bool) -> None:
        """Take the manifests, whether each must list every file, and whether the payload has been looked at."""
        self._algorithms, self._complete, self._looked = algorithms, complete, payload_read
        self._away = self._unlisted = self._gone = 0

    def look(self, files: list[File]) -> list[File]:
        """Return the files that are to be taken; says of each what is wrong with it."""
        selection = []
        for file in files:
            media = kinds.by_suffix(file.name) is not None
            is_present = THERE in file.facts or not self._looked
            if AWAY in file.facts and not is_present:
                self._away += 1
                continue
            if not media and self._looked:
                self._unlisted += not file.digests
                self._gone += not is_present
            lacking = [name for name in self._algorithms if name not in file.digests]
            if media and self._complete and file.digests and lacking:
                message = f"{file.name!r:.200} is missing in the bag's manifest of {', '.join(lacking)}"
                file.problems.append(problem(file.number, "BAG_INCOMPLETE", message))
            selection.append(file)
        return selection

    def notes(self) -> Iterator[str]:
        if self._away:
            yield f"Files that would have to be fetched were passed over: {self._away}"
        if self._gone:
            yield f"Files of other kinds are listed and not there: {self._gone}"
        if self._unlisted:
            yield f"Files of other kinds are there and not listed: {self._unlisted}"


def _read_declaration(root: Path) -> _Bag:
    bag = _Bag(root, (0, 0))
    bag.check(DECLARATION)
    try:
        with text.open_bytes(root / DECLARATION) as file:
            declaration = file.read(_MAX_DECLARATION_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise bag.refusal("BAD_HEADER", f"{DECLARATION} cannot be read as UTF-8") from error
    match = _DECLARED.fullmatch(declaration.replace("\r\n", "\n").replace("\r", "\n"))
    if match is None or len(declaration) > _MAX_DECLARATION_BYTES:
        raise bag.refusal("BAD_HEADER", f"{DECLARATION} does not say a known BagIt-Version and an encoding")
    if match["encoding"].upper() != "UTF-8":
        raise bag.refusal("BAD_HEADER", f"its papers are in {match['encoding']!r:.40}; only UTF-8 can be read")
    major, _, minor = match["version"].partition(".")
    return _Bag(root, (int(major), int(minor)))


def _payload_manifests(bag: _Bag, reading: Reading) -> dict[str, Path]:
    """Return the payload's manifests whose algorithm is known."""
    manifests = bag.manifests(tag=False)
    usable = {name: path for name, path in manifests.items() if name in checksums.HEX_CHARS}
    unknown = ", ".join(visible(name)[:40] for name in manifests if name not in usable)
    if not manifests:
        raise bag.refusal("BAG_INCOMPLETE", "it has no manifest of its payload")
    if not usable:
        raise bag.refusal("BAD_VALUE", f"its only manifests are of unknown algorithms: {unknown}")
    if unknown:
        reading.notes.append(f"Manifests of unknown algorithms were passed over: {unknown}")
    return usable


def _take_manifest(bag: _Bag, files: Inventory, manifest: Path, reading: Reading, field: str) -> Iterator[Problem]:
    """Put what a payload manifest says into the inventory."""
    algorithm = field.partition(".")[2]
    for number, line in text.lines(manifest, reading.limit_bytes):
        entry = line if isinstance(line, Problem) else _parse_line(bag, number, line, algorithm, manifest.name)
        if isinstance(entry, Problem):
            yield entry
        elif entry:
            digest, path_in_list = entry
            path = as_on_disk(bag.root, path_in_list) if reading.check_files else path_in_list
            if path != path_in_list and OTHER_FORM not in reading.notes:
                reading.notes.append(OTHER_FORM)
            if path.startswith(f"{PAYLOAD}/"):
                files.add(path, number, {field: digest})
            else:
                yield _unsafe_path(number, path, manifest.name)


def _parse_line(bag: _Bag, number: int, line: str, algorithm: str, name: str) -> tuple[str, str] | Problem | None:
    """Return a manifest line's digest and path; none for an empty one."""
    match = _LINE.fullmatch(line.rstrip("\r\n"))
    if match is None:
        if not line.strip():
            return None
        return problem(number, "BAD_VALUE", f"{name}, line {number} is no digest and path: {visible(line[:80])!r}")
    digest = match[1].lower()
    if not checksums.is_digest(digest, algorithm):
        message = f"{name}, line {number}: {len(digest)} hex digits are no {algorithm} digest"
        return problem(number, "BAD_VALUE", message)
    path = posixpath.normpath(bag.decode_path(match[2]))
    if path.startswith(("/", "../", "~")) or path == "..":
        return _unsafe_path(number, path, name)
    return digest, path


def _unsafe_path(number: int, path: str, name: str) -> Problem:
    return problem(number, "PATH_UNSAFE", f"{name}, line {number}: {visible(path[:200])!r} leaves its part of the bag")


def _take_fetched(bag: _Bag, files: Inventory, reading: Reading) -> Iterator[Problem]:
    bag.check(FETCH)
    for number, line in text.lines(bag.root / FETCH, reading.limit_bytes):
        if isinstance(line, Problem):
            yield line
            continue
        match = _FETCHED.fullmatch(line.rstrip("\r\n"))
        path = posixpath.normpath(bag.decode_path(match[1])) if match else ""
        if path.startswith(f"{PAYLOAD}/"):
            files.add(path, 0, {AWAY: True})
        elif path:
            yield _unsafe_path(number, path, FETCH)
        elif line.strip():
            yield problem(number, "BAD_VALUE", f"{FETCH}, line {number} is no address, size and path")


class _Payload:
    """The files that lie in a bag's payload."""

    def __init__(self, bag: _Bag) -> None:
        self._bag = bag
        self.bytes = self.files = 0

    def scan(self, files: Inventory) -> Iterator[Problem]:
        """Note every file, and yield the folders that cannot be looked into. Links to folders are not followed."""
        root = f"{self._bag.root}{os.sep}"
        folders = [str(self._bag.root / PAYLOAD)]
        while folders:
            folder = folders.pop()
            try:
                inside = folder_entries(folder)
            except OSError as error:
                message = f"The folder {folder.removeprefix(root)!r:.300} cannot be looked into: {error.strerror}"
                yield problem(0, "SOURCE_DENIED", message)
                continue
            for entry in inside:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                with suppress(OSError):  # it went away meanwhile, or its path is too long: it is not there
                    self.bytes += entry.stat(follow_symlinks=False).st_size
                    self.files += 1
                    files.add(entry.path.removeprefix(root), 0, {THERE: True})


def _oxum_problems(oxum: str, size_and_count: tuple[int, int]) -> Iterator[Problem]:
    match = re.fullmatch(r"(\d{1,18})\.(\d{1,12})", oxum)
    if oxum and match is None:
        yield problem(1, "BAD_VALUE", f"{INFO}: Payload-Oxum {oxum!r:.60} is not of the form BYTES.FILES")
    elif match and (int(match[1]), int(match[2])) != size_and_count:
        here = f"The payload has {size_and_count[1]} files of {size_and_count[0]} bytes"
        message = f"{here}; {INFO} says {match[2]} of {match[1]} bytes"
        yield problem(1, "BAG_INCOMPLETE", message)


def _read_info(bag: _Bag, reading: Reading) -> dict[str, str]:
    """Return what bag-info says, by label in lower case; of a label that stands twice the first."""
    path = bag.root / INFO
    if not os.path.lexists(path):
        return {}
    bag.check(INFO)
    labels: dict[str, str] = {}
    label = ""
    read_chars = 0
    for number, line in text.lines(path, min(reading.limit_bytes, _MAX_INFO_BYTES)):
        read_chars += 0 if isinstance(line, Problem) else len(line)
        if read_chars > _MAX_INFO_BYTES or isinstance(line, Problem):
            what = "longer than that" if read_chars > _MAX_INFO_BYTES else "not UTF-8, or a line without end"
            reading.notes.append(f"{INFO} was read up to line {number - 1}: it is {what}")
            break
        if line[:1] in (" ", "\t") and label:
            labels[label] = f"{labels[label]} {line.strip()}"[:_MAX_INFO_CHARS]
        else:
            name, colon, value = line.partition(":")
            label = name.strip().lower()
            if colon and label not in labels:
                labels[label] = value.strip()[:_MAX_INFO_CHARS]
            else:
                label = ""
    return labels


def _check_tags(bag: _Bag, reading: Reading) -> None:
    """Compare the digests of the bag's papers with the tag manifests."""
    for algorithm, manifest in bag.manifests(tag=True).items():
        if algorithm not in checksums.HEX_CHARS:
            reading.notes.append(f"{visible(manifest.name)} is of an unknown algorithm and was not checked")
            continue
        for number, line in text.lines(manifest, reading.limit_bytes):
            entry = line if isinstance(line, Problem) else _parse_line(bag, number, line, algorithm, manifest.name)
            if isinstance(entry, Problem):
                raise bag.refusal(entry.code, entry.message)
            if entry:
                _check_tag(bag, *entry, algorithm)


def _check_tag(bag: _Bag, tag_digest: str, name: str, algorithm: str) -> None:
    path = bag.root / name
    if not os.path.lexists(path):
        raise bag.refusal("FILE_MISSING", f"its paper {visible(name[:200])!r} is not there")
    bag.check(name)
    try:
        with path.open("rb") as file:
            digest: Any = hashlib.new(algorithm, usedforsecurity=False)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise bag.refusal("SOURCE_DENIED", f"its paper {visible(name[:200])!r} cannot be read") from error
    if digest.hexdigest() != tag_digest:
        message = f"its paper {visible(name[:200])!r} has another {algorithm} than the tag manifest says"
        raise bag.refusal("CHECKSUM_MISMATCH", message)
