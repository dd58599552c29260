"""What readers and checks of manifests hand on: entries, problems, lines."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import structlog

from db.errors import CODES, InputError, ManifestError, ReelwrightError
from db.recipe import Recipe
from db.records import Source
from db.settings import Settings
from orchestrator.manifest.places import PathResolver
from orchestrator.manifest.series import SeriesJudge
from orchestrator.terminal_text import visible

log = structlog.get_logger(__name__)
_Made = TypeVar("_Made")
_MAX_MESSAGE_CHARS = 1000


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


class ManifestEntry(NamedTuple):  # a million are made at a time, and tuples are made thrice as fast
    """One line as a reader found it, before anything in it is believed."""

    number: int
    fields: Mapping[str, Any]
    """Flat: a mapping inside the entry appears as ``outer.inner``; empty values are left out."""
    problems: tuple[Problem, ...] = ()
    """What the reader itself found wrong with it."""
    listing: str = ""
    """Digests of a sequence's files, as ``db.checksums.dump`` spells them; empty without any."""


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
    listing: str = ""
    """Digests of a sequence's files, which submission puts into the store."""


class ReaderMatch(NamedTuple):
    """What a reader makes of a path that it knows."""

    root: Path
    """The folder against which relative paths count, and that none of them leaves."""
    files: tuple[Path, ...]
    """The files that say the same when it is the same manifest; empty when all that lies in a folder says it."""


@dataclass(frozen=True)
class Reading:
    """What a reader is told, and where it says what a person should know."""

    settings: Settings
    places: PathResolver
    """Where its paths may lead."""
    check_files: bool = True
    """Whether to look at the files that are named."""
    series: SeriesJudge = field(default_factory=SeriesJudge)
    """Says what numbered pictures are."""
    notes: list[str] = field(default_factory=list)
    """Gains a sentence for each thing that is worth knowing and no problem."""

    @property
    def limit_bytes(self) -> int:
        """Longest line that is read."""
        return self.settings.max_manifest_line_bytes


class Reader(Protocol):
    """A module that reads one form of manifest."""

    def recognizes(self, path: Path) -> ReaderMatch | None:
        """Return what is known of a path of this form; none for any other."""
        ...

    def read(self, path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
        """Yield the entries in order; the same ones each time, while the manifest is the same.

        Raises:
            ManifestError: It cannot be read, or not on from here.
        """
        ...


def problem(line: int, code: str, message: str, remedy: str | None = None) -> Problem:
    """Make a problem with the code's own remedy unless a better one is given."""
    return Problem(line, code, visible(message)[:_MAX_MESSAGE_CHARS], visible(remedy or CODES[code].remedy))


def from_error(line: int, error: ReelwrightError) -> Problem:
    """Make a problem out of an error of the house."""
    return problem(line, error.code, error.message, error.remedy)


def made_or_problem(number: int, make: Callable[[], _Made]) -> _Made | Problem:
    """Return what is made of one line, or what is wrong with it: whatever is in a line, it costs itself alone.

    Raises:
        ManifestError: The whole manifest is refused.
        OutageError: A service is away.
        MemoryError: There is no room to go on with.
    """
    try:
        return make()
    except (ManifestError, MemoryError):
        raise
    except InputError as error:
        return from_error(number, error)
    except ReelwrightError:
        raise
    except Exception as error:
        _log_fault(error, line=number)
        return problem(number, "BAD_LINE", f"Line {number} cannot be understood ({_kind_of(error)})")


def guard_line(number: int, made: Iterator[_Made]) -> Iterator[_Made | Problem]:
    """Yield what is made of one line as far as that goes, and what is wrong with the rest; raises as the above."""
    end = object()
    while (each := made_or_problem(number, lambda: next(made, end))) is not end:
        yield cast(_Made | Problem, each)


@contextmanager
def refuse_unforeseen(place: Path | str) -> Iterator[None]:
    """Turn what nobody foresaw in reading a manifest into an error that names the manifest.

    Raises:
        ManifestError: ``MANIFEST_UNREADABLE``, with the kind of the error.
    """
    try:
        yield
    except (ReelwrightError, MemoryError):
        raise
    except PermissionError as error:
        denied = visible(str(error.filename or place))[:300]
        raise ManifestError(f"{denied}: {error.strerror}", code="SOURCE_DENIED") from error
    except Exception as error:
        _log_fault(error, manifest=visible(str(place)))
        raise ManifestError(f"{visible(str(place))[:300]} cannot be read ({_kind_of(error)})") from error


def _kind_of(error: Exception) -> str:
    return visible(f"{type(error).__name__}: {error}"[:200])


def _log_fault(error: Exception, **where: Any) -> None:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    calls = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    log.warning("unforeseen", error=_kind_of(error), calls=calls, **where)
