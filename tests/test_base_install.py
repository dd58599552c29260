"""The base package alone, in an environment of its own: people and orchestrators need no torch to speak with a job."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PIXELS = ("torch", "numpy", "cv2", "av", "OpenImageIO", "PIL", "pyarrow")
SERVERS = ("boto3", "psycopg", "redis")

Command = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment."""
    folder = tmp_path_factory.mktemp("base")
    source = folder / "source"
    for name in ("db", "orchestrator", "reelwright", "workers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    venv.create(folder / "venv", symlinks=True)
    # Little of what is installed is ever imported: that is compiled then.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv"), "install", "-q", "--no-compile"]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    done = subprocess.run([*pip, *constraints, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin"


@pytest.fixture
def command(base: Path, tmp_path: Path) -> Command:
    """Run a command of the base package with ``--json``; give back its exit code and its document."""

    def run(*words: object) -> tuple[int, Any]:
        variables = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        line = [str(base / "reelwright"), "--json", *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=variables, check=False)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    return run


def test_nothing_that_touches_a_pixel_comes_along(base: Path) -> None:
    script = f"from importlib.util import find_spec; print([name for name in {PIXELS + SERVERS} if find_spec(name)])"
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run([base / "python", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.strip() == "[]"
    shown = subprocess.run([base / "reelwright", "--help"], capture_output=True, text=True, env=environment, check=True)
    assert "Restore large media archives" in shown.stdout
    script = "import reelwright; print(reelwright.__version__, reelwright.StageSpec.__name__)"
    found = subprocess.run([base / "python", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.split()[1] == "StageSpec"


def test_work_is_planned_submitted_and_looked_at(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a picture, for all that anybody here can tell")
    (tmp_path / "m.csv").write_text("uri,recipe\na.jpg,\nb.jpg,\n")
    assert command("stages")[0] == 0
    code, planned = command("plan", "m.csv", "--no-probe")
    assert (code, planned["lines"], planned["problems_by_code"]) == (1, 2, {"FILE_MISSING": 1})
    code, made = command("submit", "m.csv")
    assert (code, made["bad_lines"]) == (0, 1)
    code, jobs = command("status")
    assert (code, jobs[0]["job"]["state"], jobs[0]["progress"]["items_total"]) == (0, "ready", 2)
    assert [row["code"] for row in command("failures", 1)[1]] == ["FILE_MISSING"]
    code, put = command("get", 1, "--bag", "--out", "bag")
    assert (code, put["items"]) == (0, 2)
    assert (tmp_path / "bag" / "metadata" / "premis" / "a.xml").is_file()
    code, held = command("verify", 1, "--sources", "--bag", "bag")
    assert (code, held["holds"], held["checks"]["bag"]["ok"]) == (0, True, 1)
    assert "cannot touch pixels" in held["notes"][0]
    assert command("get", 1, "--c2pa", "--c2pa-cert", "c.pem", "--c2pa-key", "k.pem")[1]["error"]["code"] == (
        "C2PA_EXTRA_MISSING"
    )
    code, seen = command("doctor")
    assert (code, seen["healthy"]) == (0, True)
    assert [each["ok"] for each in seen["findings"] if each["what"] == "extra worker"] == [False]


@pytest.mark.parametrize("words", [("run", "m.csv"), ("worker",), ("plan", "m.csv")])
def test_what_needs_pixels_says_so_at_once(command: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a picture")
    (tmp_path / "m.csv").write_text("uri\na.jpg\n")
    code, said = command(*words)
    assert (code, said["error"]["code"]) == (3, "WORKER_EXTRA_MISSING")
    assert "reelwright[worker]" in said["error"]["remedy"]


def test_a_server_without_its_library_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELWRIGHT_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1/none")
    code, said = command("status")
    assert (code, said["error"]["code"]) == (3, "SERVER_EXTRA_MISSING")


@pytest.mark.parametrize(
    ("manifest", "code"), [("cut.otio", "OTIO_EXTRA_MISSING"), ("s3://bucket/scans", "SERVER_EXTRA_MISSING")]
)
def test_manifests_that_need_a_library_name_it(command: Command, tmp_path: Path, manifest: str, code: str) -> None:
    (tmp_path / "cut.otio").write_text("{}")
    ended, said = command("submit", manifest)
    assert (ended, said["error"]["code"]) == (3, code)
