"""Whatever is typed behind a command, it ends in an answer or a named error: never with 70, never with a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from db.errors import CODES
from orchestrator import cli, exit_codes
from orchestrator.cli.commands import COMMANDS, MOST_NUMBER, Command, Group
from orchestrator.on_demand import worker_process
from tests.orchestrator.on_demand.conftest import run_here

SOME = settings(phases=[Phase.generate], deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SERVING = {"worker", "orchestrate", "serve"}
"""These go on until they are stopped; what they are given is read by all others too."""
IN_CHILDREN = {"train", "pack", "plan", "run"}
"""Each asks processes of its own, which takes seconds."""
NUMBERS = ("1", "2", "0", "-1", "99999999999999999999", str(2**63), str(-(2**63)), "1e400", "nan", "", "x", "٣")
PLACES = (
    "FILE", "FILE/inside", "FOLDER", "FOLDER/..", "FIFO", "LOOP", "absent/deep/er", "", ".", "~",
    "/dev/null", "/dev/full", "x" * 300, "x" * 5000, "a\nb\x1b[31m", "caf\udce9", "s3:", "s3://", "gs://b/p",
)  # fmt: skip
TEXTS = (
    "",
    " ",
    "\x1b[31m",
    "\u202e",
    "caf\udce9",
    "x" * 10_000,
    "0-99999999999",
    "1,1,1,1",
    "--",
    "[]",
    "{}",
    *PLACES,
)


def commands() -> dict[str, Any]:
    """Every command that ends by itself, by its words."""
    found: dict[str, Command | Group] = dict(COMMANDS)
    for name, group in COMMANDS.items():
        if isinstance(group, Group):
            found |= {f"{name} {inner}": command for inner, command in group.commands.items()}
    return {
        words: each.load(words.split()[-1])
        for words, each in found.items()
        if isinstance(each, Command) and words not in SERVING
    }


ALL = commands()


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A folder with a home in which one job was cancelled, and what else may be named."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "FOLDER").mkdir()
        (folder / "a.png").write_bytes(b"none")
        (folder / "FILE").write_text("uri\n")
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            assert cli.run(["--home", "home", "submit", "a.png"]) == 0
            assert cli.run(["--home", "home", "cancel", "1"]) == 0
        yield folder


@pytest.fixture(autouse=True)
def _errands_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "run", run_here)


def words_for(data: st.DataObject, command: Any) -> list[str]:
    """Give every argument, and some options, values that they may not like."""
    words: list[str] = []
    for parameter in command.params:
        kind = parameter.type_descriptor.annotation
        values = st.sampled_from(NUMBERS if kind in (int, float) else PLACES if kind is Path else TEXTS)
        if parameter.param_type_name == "argument":
            words += data.draw(
                st.lists(values, min_size=int(parameter.required), max_size=2 - int(parameter.nargs == 1))
            )
        elif parameter.name != "help" and data.draw(st.integers(0, 3)) == 0:
            flag = getattr(parameter, "is_flag", False)
            words += [parameter.opts[0]] if flag else [f"{parameter.opts[0]}={data.draw(values)}"]
    return words


@pytest.mark.parametrize("words", ALL)
def test_no_argument_is_answered_with_a_fault_of_ours(words: str, template: Path) -> None:
    command = ALL[words]

    @settings(SOME, max_examples=3 if words in IN_CHILDREN else 15)
    @given(data=st.data(), as_json=st.booleans())
    def hold(data: st.DataObject, as_json: bool) -> None:
        typed = [*(["--json"] if as_json else []), *words.split(), *words_for(data, command)]
        out, err = io.StringIO(), io.StringIO()
        with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
            shutil.copytree(template, name, dirs_exist_ok=True)
            os.mkfifo("FIFO")
            os.symlink("LOOP", "LOOP")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run(["--home", "home", *typed])
        said = out.getvalue() + err.getvalue()
        assert code in {0, 1, 2, 3, 4}, said
        assert "Traceback" not in said
        assert code < 2 or any(known in said for known in CODES)
        assert not [char for char in out.getvalue() if char != "\n" and not char.isprintable()]

    hold()


def test_every_number_is_bounded() -> None:
    for command in ALL.values():
        for parameter in command.params:
            if parameter.type_descriptor.annotation in (int, float):
                option = parameter.type_descriptor.parameter_info
                assert -MOST_NUMBER <= option.min <= option.max <= MOST_NUMBER


@pytest.mark.parametrize("place", ["FILE", "FILE/inside", "/dev/null", "LOOP", "x" * 5000, "caf\udce9"])
@pytest.mark.parametrize(
    "words", ["status", "doctor", "db upgrade", "submit a.png", "plan --no-probe a.png", "run a.png"]
)
def test_no_home_is_answered_with_a_fault_of_ours(
    place: str, words: str, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    (tmp_path / "LOOP").symlink_to("LOOP")
    if words == "run a.png" and place == "caf\udce9":
        words = "run FOLDER"  # nothing to work off
    with contextlib.chdir(tmp_path):
        assert cli.run(["--home", place, *words.split()]) != exit_codes.FAULT, capsys.readouterr()
