"""The rules of the house that no linter holds: how large rooms are, and how things are named."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("db", "orchestrator", "workers", "reelwright")
IRREGULAR = {
    "begun", "bent", "bought", "broken", "brought", "built", "caught", "chosen", "done", "drawn", "driven", "eaten",
    "fallen", "felt", "found", "fought", "frozen", "given", "gone", "grown", "held", "hidden", "kept", "known",
    "laid", "led", "left", "lost", "made", "meant", "met", "paid", "proven", "ridden", "risen", "said", "seen",
    "sent", "sewn", "shown", "sought", "spent", "spoken", "stolen", "stood", "swept", "taken", "taught", "thought",
    "told", "torn", "understood", "woken", "won", "worn", "written",
}  # fmt: skip
NO_PARTICIPLES = {"need", "seed", "feed", "speed", "exceed", "proceed", "embed"}
MOST_PARTICIPLES = 0.03
MOST_MODULES = {"workers": 8, "orchestrator": 12}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path, tree in sources():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def begins_with_a_participle(name: str) -> bool:
    word = name.strip("_").split("_")[0]
    return word in IRREGULAR or (len(word) > 3 and word.endswith("ed") and word not in NO_PARTICIPLES)


def body_lines(node: ast.FunctionDef) -> int:
    """Lines without signature and docstring: a command's options are its signature."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    last_before = (first.end_lineno or first.lineno) if documented else first.lineno - 1
    return (node.end_lineno or node.lineno) - last_before


@pytest.mark.parametrize(("room", "most"), MOST_MODULES.items())
def test_few_modules_lie_outside_the_rooms(room: str, most: int) -> None:
    modules = [path.name for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= most, modules


def test_hardly_any_function_is_named_by_a_participle() -> None:
    names = [(str(path), node.name) for path, node in functions()]
    participles = [each for each in names if begins_with_a_participle(each[1])]
    assert len(participles) < MOST_PARTICIPLES * len(names), participles


def test_a_class_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_functions_are_short() -> None:
    long = {f"{path}:{node.name}": body_lines(node) for path, node in functions() if body_lines(node) > 50}
    assert long == {}


def test_no_module_is_longer_than_a_reader_bears() -> None:
    lines = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path, _ in sources()}
    assert {path: count for path, count in lines.items() if count > 600} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_in_no_circle(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            inside = imported.startswith(f"{package}.") and not module.startswith(imported)
            assert not (inside and graph.chain_exists(importer=imported, imported=module)), (module, imported)


ACROSS_MODULES = {
    "db/ledger": {"machine", "races"},
    "db": {"store"},
    "orchestrator": {"cli", "messages"},
    "orchestrator/manifest": {"examples", "fuzz"},
    "orchestrator/on_demand": {"own_weights"},
    "orchestrator/upkeep": {"years"},
    "reelwright": {"face"},
    "workers/media": {"exactness"},
    "workers/media/film": {"mutated_films"},
    "workers/media/stills": {"mutated_headers"},
    "workers/models": {"import_light", "judges", "restorers"},
    "workers/profiles": {"kinds"},
    "workers/stages": {"apply", "restorers"},
    "workers/training": {"tasks"},
}
"""Tests of what several modules of a room do together."""


@pytest.mark.parametrize("room", ["db", "orchestrator", "workers", "reelwright"])
def test_a_test_lies_where_its_module_lies(room: str) -> None:
    for path in (ROOT / "tests" / room).rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        name = path.stem.removeprefix("test_")
        known = (ROOT / folder / f"{name}.py").exists() or name in ACROSS_MODULES.get(folder.as_posix(), ())
        assert known, f"{path.relative_to(ROOT)}: no module {folder}/{name}.py"
