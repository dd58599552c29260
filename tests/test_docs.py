"""The pages hold together: links and anchors lead somewhere, every page can be found, every command is one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from orchestrator.cli import app
from orchestrator.manifest.fields import CHECKS, MEANINGS

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md")])
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
GLOBAL = {"--json", "--home", "--help"}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files and anchors that a page names, web addresses left out."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", page.read_text(encoding="utf-8")))
    for target in _LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        yield ((page.parent / path).resolve() if path else page), anchor


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    for target, anchor in _links(page):
        assert target.exists(), f"{_name(page)} names {target}, which is not there"
        assert not anchor or anchor in _anchors(target), f"{_name(page)} names #{anchor}, which is not in {target.name}"


def test_every_page_is_reached_from_the_index() -> None:
    seen, queue = {INDEX}, [INDEX]
    while queue:
        for target, _ in _links(queue.pop()):
            if target.suffix == ".md" and target not in seen:
                seen.add(target)
                queue.append(target)
    assert {_name(page) for page in PAGES if page.is_relative_to(INDEX.parent)} <= {_name(page) for page in seen}


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the words behind ``reelwright`` of each command in a page's console blocks."""
    for language, block in _FENCED.findall(page.read_text(encoding="utf-8")):
        if language != "console":
            continue
        for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
            found = re.match(r"\s*\S*\$ (?:.*\s)?(?:\S*bin/)?reelwright (.*)$", re.sub(r"\s#.*", "", line))
            if found:
                yield shlex.split(found[1])


def _parse(words: list[str]) -> None:
    """Read a command as the command line does, without running it; raises for what it does not know."""
    command: Any = typer.main.get_command(app)
    rest = []
    for place, word in enumerate(words):
        if word not in GLOBAL and words[place - 1 : place] != ["--home"]:
            rest.append(word)
    while hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"there is no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    context = command.make_context(command.name, [], resilient_parsing=True)
    context.resilient_parsing = False
    command.make_parser(context).parse_args(rest)


@pytest.mark.parametrize("page", [page for page in PAGES if [*_commands(page)]], ids=_name)
def test_every_command_that_is_shown_can_be_given(page: Path) -> None:
    for words in _commands(page):
        try:
            _parse(words)
        except Exception as error:
            pytest.fail(f"{_name(page)}: reelwright {shlex.join(words)}: {error}")


def test_a_command_that_is_wrong_is_noticed() -> None:
    with pytest.raises(AssertionError):
        _parse(["retouch", "box-12"])
    with pytest.raises(Exception, match="recipes"):
        _parse(["run", "box-12", "--recipes", "silent-film"])


@pytest.mark.parametrize("page", sorted((INDEX.parent / "how-to").glob("add-a-*.md")), ids=_name)
def test_the_packages_that_are_shown_can_be_imported(page: Path) -> None:
    for language, block in _FENCED.findall(page.read_text(encoding="utf-8")):
        if language == "python" and block.startswith("# reelwright_"):
            names: dict[str, Any] = {}
            exec(compile(block, str(page), "exec"), names)
            assert names["SPEC"].name in page.read_text(encoding="utf-8")


def test_every_field_of_a_manifest_is_explained() -> None:
    assert set(MEANINGS) == set(CHECKS)
