"""The public face: what it names, what it costs to import, and that its page tells the truth."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import reelwright

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def in_a_fresh_process(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_page_describes_exactly_the_public_names() -> None:
    assert sorted(SECTIONS) == sorted(reelwright.__all__)
    assert sorted(re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE)) == sorted(reelwright.__all__)


@pytest.mark.parametrize("name", reelwright.__all__)
def test_every_public_name_is_there_and_its_example_runs(name: str) -> None:
    assert getattr(reelwright, name) is getattr(reelwright, name)
    examples = re.findall(r"```python\n(.*?)```", SECTIONS[name], re.DOTALL)
    assert len(examples) == 1
    assert name in examples[0]
    exec(compile(examples[0], f"docs/python.md: {name}", "exec"), {"__name__": "example"})


def test_importing_it_imports_next_to_nothing() -> None:
    done = in_a_fresh_process(
        "import sys; before = set(sys.modules); import reelwright; dir(reelwright);"
        "heads = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(heads & {'torch', 'numpy', 'av', 'cv2', 'sqlalchemy', 'pydantic', 'db', 'workers', 'typer'}))"
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_what_describes_a_stage_needs_no_pixels() -> None:
    done = in_a_fresh_process(
        "import sys; from reelwright import ArchitectureSpec, Card, InputError, MetricSpec, StageParams, StageSpec;"
        "print([name for name in ('torch', 'numpy', 'av', 'sqlalchemy', 'workers') if name in sys.modules])"
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="restoer"):
        reelwright.restoer  # noqa: B018
    assert dir(reelwright) == sorted(reelwright.__all__)


def test_editors_and_type_checkers_see_every_name_where_it_is() -> None:
    tree = ast.parse((ROOT / "reelwright" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen: dict[str, Any] = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == reelwright._MODULES
    assert {*seen, "__version__"} == set(reelwright.__all__)
    assert (ROOT / "reelwright" / "py.typed").exists()


def test_the_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert reelwright.__version__ == project["version"]
    for package in ("db", "orchestrator", "workers", "reelwright"):
        for path in (ROOT / package).rglob("*.py"):
            assert not re.search(r"^__version__ *=", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_it_is_the_command_line_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reelwright", "--help"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: reelwright [OPTIONS] COMMAND")
