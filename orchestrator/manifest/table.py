"""The rows of a CSV file that anybody may have written: bounded, and a bad one costs itself alone.

Used by ``orchestrator.manifest`` alone.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from orchestrator.manifest import text
from orchestrator.manifest.lines import Problem, problem

Row = tuple[int, list[str] | Problem]


def rows(path: Path, limit_bytes: int) -> Iterator[Row]:
    """Yield the line on which each row begins and its cells, or what is wrong there; empty rows are passed over.

    The first row says what parts cells: the commonest of comma, semicolon and tabulator in it.

    Args:
        path: The file; packed with gzip or not.
        limit_bytes: Longest line, and longest cell: a quote that is never closed must not swallow the rest.

    Raises:
        ManifestError: It cannot be read, or not on from here.
    """
    csv.field_size_limit(limit_bytes)
    unreadable: deque[Problem] = deque()
    good_lines = _readable(text.lines(path, limit_bytes), unreadable)
    first = next(good_lines, "")
    read = csv.reader(_again(first, good_lines), delimiter=delimiter(first))
    start = 1
    while True:
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


def delimiter(header: str) -> str:
    """Return what parts the cells of a first line."""
    return max(",;\t", key=header.count)


def split(header: str) -> list[str]:
    """Return the cells of a first line; none where it is not CSV."""
    try:
        return next(csv.reader([header.strip("\r\n")], delimiter=delimiter(header)), [])
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
