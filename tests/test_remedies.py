"""What a remedy names is there, and following it helps."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from db.catalog.stages import STAGES
from db.errors import CODES
from db.records import Sequence
from db.settings import PREFIX, Settings
from db.states import ItemState
from orchestrator import cli
from orchestrator.manifest import fields
from tests.orchestrator.manifest.reading import codes, lines_of, refused, written

ROOT = Path(__file__).parents[1]
REMEDIES = {code: facts.remedy for code, facts in CODES.items()}
WORDS = {"hold", "black", "x_", "x_note", "dc.title", "logs/worker-N.log", "Authorization: Bearer", "Origin"}
"""What else stands in backticks: values of fields, and what the tests below look at."""
EXTRAS = {"worker", "server", "web", "otio", "c2pa"}


def group() -> Any:
    return typer.main.get_command(cli.app)


def all_options(command: Any) -> set[str]:
    names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return names.union(*(all_options(inner) for inner in getattr(command, "commands", {}).values()))


def assert_is_a_command(line: str) -> None:
    """Walk the tree of commands; what is written in capitals stands for something of the reader's."""
    command, known = group(), set()
    for word in shlex.split(line)[1:]:
        if hasattr(command, "commands"):
            assert word in command.commands, line
            command = command.commands[word]
            known = all_options(command)
        elif word.startswith("--"):
            assert word in known, line
        elif not word.isupper():
            assert word in {state.value for state in ItemState}, line
    assert not hasattr(command, "commands"), f"{line} names a group"


@pytest.mark.parametrize("code", CODES)
def test_everything_that_a_remedy_names_exists(code: str) -> None:
    remedy = REMEDIES[code]
    options = all_options(group())
    for quoted in re.findall(r"`([^`]+)`", remedy):
        if quoted.startswith("reelwright "):
            assert_is_a_command(quoted)
        elif quoted.startswith("--"):
            assert quoted in options, quoted
        elif quoted.startswith(PREFIX):
            assert quoted.removeprefix(PREFIX).lower() in Settings.model_fields, quoted
        else:
            assert quoted in {*Settings.model_fields, *STAGES, *fields.CHECKS, *WORDS}, quoted
    bare = re.sub(r"`[^`]+`", "", remedy)
    assert not re.search(rf"--\w|{PREFIX}|\breelwright [a-z]|\bparams\b", bare), "what can be typed stands in backticks"
    for page in re.findall(r"\bdocs/[\w/-]+", remedy):
        assert (ROOT / f"{page}.md").exists(), page
    for extra in re.findall(r"reelwright\[(\w+)\]", remedy):
        assert extra in EXTRAS


@pytest.mark.parametrize("code", [code for code in CODES if "`reelwright " in REMEDIES[code]])
def test_help_is_there_for_every_command_that_a_remedy_names(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    for quoted in re.findall(r"`(reelwright [^`]+)`", REMEDIES[code]):
        words = []
        command = group()
        for word in shlex.split(quoted)[1:]:
            if not hasattr(command, "commands"):
                break
            words, command = [*words, word], command.commands[word]
        assert cli.run([*words, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(option in shown for option in re.findall(r"--\w[\w-]*", quoted))


def test_pages_that_remedies_send_to_say_what_is_promised() -> None:
    for code, needle in {
        "UNKNOWN_FORMAT": "DPX",
        "UNKNOWN_RECIPE": "default",
        "RECIPE_UNREADABLE": "```yaml",
        "BAD_SETTING": "`lease_seconds`",
    }.items():
        (page,) = re.findall(r"\bdocs/[\w/-]+", REMEDIES[code])
        assert needle in (ROOT / f"{page}.md").read_text(encoding="utf-8"), code


# -- manifests: a fault, and what its remedy makes of it


def test_free_fields_are_taken_under_the_names_that_the_remedy_gives(tmp_path: Path) -> None:
    entry: dict[str, object] = {"uri": "a.jpg", "note": "torn"}
    (line,) = lines_of(written(tmp_path, "m.jsonl", json.dumps(entry) + "\n"))
    assert [problem.code for problem in line.problems] == ["UNKNOWN_FIELD"]
    names = re.findall(r"`(\w+[._]\w+)`", REMEDIES["UNKNOWN_FIELD"])
    assert names == ["x_note", "dc.title"]
    for name in names:
        assert codes(lines_of(written(tmp_path, "m.jsonl", json.dumps({"uri": "a.jpg", name: "torn"}) + "\n"))) == []
        assert codes(lines_of(written(tmp_path, "m.csv", f"uri,{name}\na.jpg,torn\n"))) == []
    assert refused(written(tmp_path, "m.csv", "uri,params.note\na.jpg,torn\n")) == "UNKNOWN_FIELD"


@pytest.mark.parametrize(("code", "attribute"), [("TRUNCATED", "accept_damaged"), ("INTERLACED", "accept_interlaced")])
def test_what_a_remedy_lets_pass_can_be_said_in_every_form(tmp_path: Path, code: str, attribute: str) -> None:
    assert f"`params.{attribute}`" in REMEDIES[code]
    for name, text in {
        "m.csv": f"uri,params.{attribute}\na.mkv,true\n",
        "m.jsonl": json.dumps({"uri": "a.mkv", "params": {attribute: True}}) + "\n",
        "m.yaml": f"- uri: a.mkv\n  params: {{{attribute}: true}}\n",
        "n.yaml": f"- uri: a.mkv\n  params.{attribute}: true\n",
    }.items():
        (line,) = lines_of(written(tmp_path, name, text))
        assert line.problems == ()
        assert line.source is not None
        assert getattr(line.source, attribute) is True, name


@pytest.mark.parametrize("value", re.findall(r"`(hold|black)`", REMEDIES["SEQUENCE_GAP"]))
def test_gaps_are_filled_as_the_remedy_says(tmp_path: Path, value: str) -> None:
    (tmp_path / "s").mkdir()
    for number in (1, 3):
        (tmp_path / "s" / f"f{number}.png").write_bytes(b"x")
    numbers = "sequence.prefix,sequence.suffix,sequence.padding,sequence.start,sequence.end"
    head, row = f"uri,kind,fps,{numbers}", "s,sequence,18,f,.png,0,1,3"
    gap = lines_of(written(tmp_path, "m.csv", f"{head}\n{row}\n"), check_files=True)
    assert codes(gap) == [(2, "SEQUENCE_GAP")]
    (line,) = lines_of(written(tmp_path, "m.csv", f"{head},missing\n{row},{value}\n"), check_files=True)
    assert line.problems == ()
    assert line.source is not None
    assert isinstance(line.source.sequence, Sequence)


def test_the_frame_rate_of_the_manifest_is_right(tmp_path: Path) -> None:
    assert "`fps`" in REMEDIES["FPS_CONFLICT"]
    (line,) = lines_of(written(tmp_path, "m.csv", "uri,fps\na.mkv,18\n"))
    assert line.source is not None
    assert line.source.fps == 18


def test_a_path_outside_is_allowed_by_its_root(tmp_path: Path) -> None:
    for folder in ("in", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "other" / "a.jpg").write_bytes(b"x")
    path = written(tmp_path / "in", "m.csv", f"uri\n{tmp_path / 'other' / 'a.jpg'}\n")
    assert codes(lines_of(path, check_files=True)) == [(2, "PATH_UNSAFE")]
    assert codes(lines_of(path, check_files=True, roots=[tmp_path / "other"])) == []


def test_cancelled_items_can_be_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    home = ["--json", "--home", str(tmp_path / "home")]
    assert cli.run(["submit", str(tmp_path / "a.jpg"), *home]) == 0
    assert cli.run(["cancel", "1", *home]) == 0
    capsys.readouterr()
    (line,) = re.findall(r"`(reelwright [^`]+)`", REMEDIES["CANCELLED"])
    assert cli.run([*shlex.split(line.replace("JOB", "1"))[1:], *home]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 1
