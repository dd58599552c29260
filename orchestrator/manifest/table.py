"""The rows of a CSV file that anybody may have written: bounded, and a bad one costs itself alone.

Used by ``orchestrator.manifest`` alone.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from orchestrator.manifest import text
from orchestrator.manifest.lines import Problem, problem

_SEPARATOR = re.compile(r"\"?sep=([,;\t|])\"?\s*", re.IGNORECASE)
Row = tuple[int, list[str] | Problem]


def rows(path: Path, limit_bytes: int) -> Iterator[Row]:
    """Yield the line on which each row begins and its cells, or what is wrong there; empty rows are passed over.

    The first row says what parts cells: the commonest of comma, semicolon and tabulator in it, or ``sep=;``, which
    spreadsheets write before the header.

    Args:
        path: The file; packed with gzip or not.
        limit_bytes: Longest line, cell and row: a quote that is never closed must not swallow the rest.

    Raises:
        ManifestError: It cannot be read, or not on from here.
    """
    csv.field_size_limit(limit_bytes)
    unreadable: deque[Problem] = deque()
    good_lines = _readable(text.lines(path, limit_bytes), unreadable)
    first = next(good_lines, "")
    parted_by = _said_delimiter(first) or delimiter(first)
    share = _RowShare(_again("\n" if _said_delimiter(first) else first, good_lines), limit_bytes)
    read = csv.reader(share, delimiter=parted_by)
    start = 1
    while True:
        share.next_row()
        try:
            row = next(read)
        except StopIteration:
            break
        except csv.Error as error:
            message = f"Line {start} is not CSV: {error}"
            yield start, problem(start, "BAD_VALUE", message, "Look for a quote that is not closed.")
            start = read.line_num + 1
            continue
        number, start = start, read.line_num + 1
        while unreadable:
            each = unreadable.popleft()
            yield each.line, each
        if row:
            yield number, row
    for each in unreadable:
        yield each.line, each


class _RowShare:
    """The lines of a file, of which one row gets no more than its share: it may go over many in quotes."""

    def __init__(self, lines: Iterator[str], limit: int) -> None:
        self._lines, self._limit, self._chars = lines, limit, 0
        self._kept: str | None = None

    def next_row(self) -> None:
        self._chars = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._kept = next(self._lines) if self._kept is None else self._kept, None
        if self._chars and self._chars + len(line) > self._limit:
            self._kept = line  # it begins the next row
            raise csv.Error(f"a row of more than {self._limit} characters")
        self._chars += len(line)
        return line


def delimiter(header: str) -> str:
    """Return what parts the cells of a first line."""
    return max(",;\t", key=header.count)


def _said_delimiter(first: str) -> str:
    """Return what a first line ``sep=;`` says; empty for any other."""
    match = _SEPARATOR.fullmatch(first)
    return match[1] if match else ""


def split(text_start: str) -> list[str]:
    """Return the cells of the first row with which a text begins; none where it is not CSV."""
    first, *rest = text_start.splitlines() or [""]
    parted_by = _said_delimiter(first)
    header = rest[0] if parted_by and rest else first
    try:
        return next(csv.reader([header], delimiter=parted_by or delimiter(header)), [])
    except csv.Error:
        return []


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _readable(lines: Iterator[tuple[int, str | Problem]], unreadable: deque[Problem]) -> Iterator[str]:
    """Pass on good lines; an empty one keeps the count of lines where there was a bad one."""
    for _, line in lines:
        if isinstance(line, Problem):
            unreadable.append(line)
            yield "\n"
        else:
            yield line
