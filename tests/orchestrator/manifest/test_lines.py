"""What nobody foresaw: it costs the line in which it stands, or the manifest that cannot be read, and has a code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.errors import InputError, ManifestError, OutageError, StoreUnavailable
from db.recipe import resolve
from orchestrator.manifest.lines import ManifestEntry, Problem, guard_line, made_or_problem, refuse_unforeseen
from orchestrator.manifest.places import PathResolver
from orchestrator.manifest.validate import Validator

UNFORESEEN = [KeyError("x"), OverflowError("int too large"), RecursionError(), AttributeError("\x1b[31m"), OSError(40)]


def _raising(error: BaseException) -> Callable[[], object]:
    def make() -> object:
        raise error

    return make


@pytest.mark.parametrize("error", UNFORESEEN)
def test_whatever_a_line_raises_is_a_problem_of_that_line(error: Exception) -> None:
    found = made_or_problem(7, _raising(error))
    assert isinstance(found, Problem)
    assert (found.line, found.code) == (7, "BAD_LINE")
    assert found.message.startswith("Line 7 cannot be understood")
    assert found.message.isprintable()


def test_errors_of_the_house_keep_their_code() -> None:
    found = made_or_problem(7, _raising(InputError("odd", code="FPS_CONFLICT")))
    assert isinstance(found, Problem)
    assert found.code == "FPS_CONFLICT"


@pytest.mark.parametrize("error", [ManifestError("broken"), StoreUnavailable("away"), MemoryError()])
def test_what_concerns_more_than_a_line_is_raised(error: BaseException) -> None:
    with pytest.raises((ManifestError, OutageError, MemoryError)) as caught:
        made_or_problem(7, _raising(error))
    assert caught.value is error


@pytest.mark.parametrize("error", UNFORESEEN)
def test_what_was_made_of_a_line_before_it_broke_is_kept(error: Exception) -> None:
    def make() -> Iterator[str]:
        yield "first"
        raise error

    first, rest = guard_line(3, make())
    assert first == "first"
    assert isinstance(rest, Problem)
    assert (rest.line, rest.code) == (3, "BAD_LINE")


@pytest.mark.parametrize("error", UNFORESEEN)
def test_a_reader_that_breaks_refuses_its_manifest_by_name(error: Exception) -> None:
    with pytest.raises(ManifestError) as caught, refuse_unforeseen(Path("/box/m.csv")):
        raise error
    assert caught.value.code == "MANIFEST_UNREADABLE"
    assert caught.value.message.startswith("/box/m.csv cannot be read")
    assert caught.value.message.isprintable()


class _Trap(str):
    """A value that no check foresees."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("field", ["id", "uri", "fps"])
def test_a_value_that_breaks_its_check_costs_its_line_alone(tmp_path: Path, field: str) -> None:
    validator = Validator(PathResolver(tmp_path, (str(tmp_path),)), resolve("identity"), check_files=False)
    entries = [ManifestEntry(1, {"uri": "a.png"}), ManifestEntry(2, {"uri": "b.png", field: _Trap("\ud800")})]
    good, bad, last = validator.lines([*entries, ManifestEntry(3, {"uri": "c.png"})])
    assert (good.problems, last.problems) == ((), ())
    assert {each.line for each in bad.problems} == {2}
