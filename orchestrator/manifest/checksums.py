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
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, problem
from orchestrator.manifest.places import OTHER_FORM, as_on_disk
from orchestrator.terminal_text import visible

_GNU = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?: [ *]|[ \t]+)(.+)")
_BSD = re.compile(r"(\\?)([A-Za-z][A-Za-z0-9/_-]{2,15}) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})")
_BARE = re.compile(r"[0-9A-Fa-f]{32,128}")
_COMMENTS = ("#", ";", "%")
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_NAMED = re.compile(r"(?P<sums>[a-z0-9_-]+?)sums?(?:\.txt)?|(?:.*\.)?(?P<suffix>[a-z0-9_]+?)(?:sum)?", re.IGNORECASE)
_SNIFFED_BYTES = 4096


class DigestLine(NamedTuple):
    """One line of a list."""

    number: int
    algorithm: str
    digest: str
    """In lower case."""
    path: str
    """As it stands there."""


def recognizes(path: Path) -> ReaderMatch | None:
    """Know a list of digests by its name, or else by its first line."""
    if not path.is_file() or kinds.by_suffix(path.name) is not None:
        return None
    if algorithm_of(path) is None:
        first_line = _first_line(path)
        if not (_GNU.fullmatch(first_line) or _BSD.fullmatch(first_line)):
            return None
    return ReaderMatch(path.parent, (path,))


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each still and reel that the list names, folder by folder, with their digests.

    Frames are put together, and sound is found, among the files of the list alone.
    """
    grouping = Grouping(reading.series)
    with inventory.open_inventory() as files:
        for line in digest_lines(path, reading.limit_bytes):
            if isinstance(line, Problem):
                yield line
            else:
                path_in_list = posixpath.normpath(line.path)
                disk_path = as_on_disk(path.parent, path_in_list) if reading.check_files else path_in_list
                if disk_path != path_in_list and OTHER_FORM not in reading.notes:
                    reading.notes.append(OTHER_FORM)
                files.add(disk_path, line.number, {f"checksum.{line.algorithm}": line.digest})
        yield from inventory.entries(files, grouping)
    reading.notes.extend(grouping.notes())


def algorithm_of(path: Path) -> str | None:
    """Return the algorithm that a list's name promises: ``checksum.md5``, ``SHA256SUMS``, ``film.mkv.sha1``."""
    match = _NAMED.fullmatch(path.name)
    return checksums.algorithm(match["suffix"] or match["sums"]) if match else None


def digest_lines(path: Path, limit_bytes: int, algorithm: str | None = None) -> Iterator[DigestLine | Problem]:
    """Yield the lines of a list, and what is wrong with those that are none; comments are passed over.

    Args:
        path: The list.
        limit_bytes: Longest line.
        algorithm: Whose digests they are; none takes what the list's name says, and else what a line's length says.

    Raises:
        ManifestError: It cannot be read.
    """
    algorithm = algorithm or algorithm_of(path)
    for number, line in text.lines(path, limit_bytes, errors="surrogateescape"):
        if isinstance(line, Problem):
            yield line
        elif line.strip() and not line.startswith(_COMMENTS):
            yield _parse_line(number, line.rstrip("\r\n"), algorithm, path)


def _parse_line(number: int, line: str, algorithm: str | None, path: Path) -> DigestLine | Problem:
    if parts := _BSD.fullmatch(line):
        escape, name, file, digest = parts.groups()
        line_algorithm = checksums.algorithm(name)
    elif parts := _GNU.fullmatch(line):
        escape, digest, file = parts.groups()
        line_algorithm = algorithm or checksums.algorithm_by_length(digest)
    elif _BARE.fullmatch(line.strip()) and kinds.by_suffix(path.stem):
        escape, digest, file = "", line.strip(), path.stem
        line_algorithm = algorithm or checksums.algorithm_by_length(digest)
    else:
        return problem(number, "BAD_VALUE", f"Line {number} is no digest and path: {visible(line[:80])!r}")
    if line_algorithm is None or not checksums.is_digest(digest.lower(), line_algorithm):
        message = f"Line {number}: {len(digest)} hex digits are no {line_algorithm or 'known'} digest"
        return problem(number, "BAD_VALUE", message)
    if escape:
        file = re.sub(r"\\[\\nr]", lambda match: _ESCAPED[match[0]], file)
    elif "\\" in file and "/" not in file:
        file = file.replace("\\", "/")  # written on Windows
    return DigestLine(number, line_algorithm, digest.lower(), file)


def _first_line(path: Path) -> str:
    for line in text.start(path, _SNIFFED_BYTES).splitlines():
        if line.strip() and not line.startswith(_COMMENTS):
            return line.strip()
    return ""
