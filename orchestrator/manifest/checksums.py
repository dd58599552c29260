"""Reader of lists of digests, as ``md5sum`` and its kin write them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from db import checksums
from orchestrator.manifest import inventory, kinds, text
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import Entry, Known, Problem, Reading, problem
from orchestrator.manifest.places import OTHER_FORM, as_on_disk
from orchestrator.terminal_text import visible

_GNU = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?: [ *]|[ \t]+)(.+)")
_BSD = re.compile(r"(\\?)([A-Za-z][A-Za-z0-9/_-]{2,15}) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})")
_BARE = re.compile(r"[0-9A-Fa-f]{32,128}")
_COMMENTS = ("#", ";", "%")
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_NAMED = re.compile(r"(?P<sums>[a-z0-9_-]+?)sums?(?:\.txt)?|(?:.*\.)?(?P<suffix>[a-z0-9_]+?)(?:sum)?", re.IGNORECASE)
_SNIFFED_BYTES = 4096


class Listed(NamedTuple):
    """One line of a list."""

    number: int
    algorithm: str
    digest: str
    """In lower case."""
    path: str
    """As it stands there."""


def recognises(path: Path) -> Known | None:
    """Know a list of digests by its name, or else by its first line."""
    if not path.is_file() or kinds.by_suffix(path.name) is not None:
        return None
    if algorithm_of(path) is None:
        begins = _first_line(path)
        if not (_GNU.fullmatch(begins) or _BSD.fullmatch(begins)):
            return None
    return Known(path.parent, (path,))


def read(path: Path, reading: Reading) -> Iterator[Entry | Problem]:
    """Yield an entry for each still and reel that the list names, folder by folder, with their digests.

    Frames are put together, and sound is found, among the files of the list alone.
    """
    grouping = Grouping()
    with inventory.opened() as files:
        for found in listed(path, reading.limit_bytes):
            if isinstance(found, Problem):
                yield found
            else:
                said = posixpath.normpath(found.path)
                named = as_on_disk(path.parent, said) if reading.check_files else said
                if named != said and OTHER_FORM not in reading.notes:
                    reading.notes.append(OTHER_FORM)
                files.add(named, found.number, {f"checksum.{found.algorithm}": found.digest})
        yield from inventory.entries(files, grouping)
    reading.notes.extend(grouping.notes())


def algorithm_of(path: Path) -> str | None:
    """Return the algorithm that a list's name promises: ``checksum.md5``, ``SHA256SUMS``, ``film.mkv.sha1``."""
    found = _NAMED.fullmatch(path.name)
    return checksums.algorithm(found["suffix"] or found["sums"]) if found else None


def listed(path: Path, limit_bytes: int, algorithm: str | None = None) -> Iterator[Listed | Problem]:
    """Yield the lines of a list, and what is wrong with those that are none; comments are passed over.

    Args:
        path: The list.
        limit_bytes: Longest line.
        algorithm: Whose digests they are; none takes what the list's name says, and else what a line's length says.

    Raises:
        ManifestError: It cannot be read.
    """
    algorithm = algorithm or algorithm_of(path)
    for number, line in text.lines(path, limit_bytes):
        if isinstance(line, Problem):
            yield line
        elif line.strip() and not line.startswith(_COMMENTS):
            yield _line(number, line.rstrip("\r\n"), algorithm, path)


def _line(number: int, line: str, algorithm: str | None, path: Path) -> Listed | Problem:
    if found := _BSD.fullmatch(line):
        escaped, name, file, digest = found.groups()
        said = checksums.algorithm(name)
    elif found := _GNU.fullmatch(line):
        escaped, digest, file = found.groups()
        said = algorithm or checksums.by_length(digest)
    elif _BARE.fullmatch(line.strip()) and kinds.by_suffix(path.stem):
        escaped, digest, file = "", line.strip(), path.stem
        said = algorithm or checksums.by_length(digest)
    else:
        return problem(number, "BAD_VALUE", f"Line {number} is no digest and path: {visible(line[:80])!r}")
    if said is None or not checksums.is_digest(digest.lower(), said):
        message = f"Line {number}: {len(digest)} hex digits are no {said or 'known'} digest"
        return problem(number, "BAD_VALUE", message)
    if escaped:
        file = re.sub(r"\\[\\nr]", lambda match: _ESCAPED[match[0]], file)
    elif "\\" in file and "/" not in file:
        file = file.replace("\\", "/")  # written on Windows
    return Listed(number, said, digest.lower(), file)


def _first_line(path: Path) -> str:
    for line in text.start(path, _SNIFFED_BYTES).splitlines():
        if line.strip() and not line.startswith(_COMMENTS):
            return line.strip()
    return ""
