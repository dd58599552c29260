"""What readers and checks of manifests hand on: entries, problems, lines. All of ``orchestrator`` may import this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from db.errors import CODES, ReelwrightError
from db.recipe import Recipe
from db.records import Source


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one line."""

    line: int
    """Line of the manifest, from 1; for a folder the running number of the entry."""
    code: str
    """One of ``db.errors.CODES``."""
    message: str
    """What is wrong; holds no character that a terminal would obey."""
    remedy: str
    """What to do."""


class Entry(NamedTuple):  # a million are made at a time, and tuples are made thrice as fast
    """One line as a reader found it, before anything in it is believed."""

    number: int
    fields: Mapping[str, Any]
    """Flat: a mapping inside the entry appears as ``outer.inner``; empty values are left out."""


class Line(NamedTuple):
    """One line of a manifest after all checks."""

    number: int
    external_id: str
    """Unique in the manifest; made up for a line that has no usable id of its own."""
    source: Source | None
    """None when the line is too broken to say what it names."""
    recipe: Recipe | None = None
    """None when the line asks for nothing but the job's recipe."""
    problems: tuple[Problem, ...] = ()
    """Empty for a good line."""
    extra: Mapping[str, Any] = MappingProxyType({})
    """The line's own fields apart from ``id`` and ``uri``, carried to the report."""


def problem(line: int, code: str, message: str, remedy: str | None = None) -> Problem:
    """Make a problem with the code's own remedy unless a better one is given."""
    return Problem(line, code, message, remedy or CODES[code].remedy)


def from_error(line: int, error: ReelwrightError) -> Problem:
    """Make a problem out of an error of the house."""
    return Problem(line, error.code, error.message, error.remedy)
