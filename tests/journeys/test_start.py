"""The first seconds of a worker: it works before torch is there, and leaves as it should whatever comes of that."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from db import progress
from db.states import WorkerState
from tests.journeys.house import House, embedded, film, photo
from tests.support.servers import wait_until

ROOT = str(Path(__file__).parents[2])
ON_IMPORT = """
import importlib.machinery, os, sys, time
class Guard:
    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == "torch" else None
        if spec is not None:
            execute = spec.loader.exec_module
            def exec_module(module):
                {first}
                execute(module)
            spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Guard())
"""
ABSENT = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else find_spec(name, package)
"""
Change = Callable[[str], None]


@pytest.fixture
def at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Have workers begin with a script from now on, and without the outside package, which needs torch itself."""

    def change(script: str) -> None:
        folder = tmp_path / "start"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(script)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), ROOT]))

    return change


def _log(house: House) -> str:
    return "".join(path.read_text() for path in house.settings.home.glob("*.log"))


def test_a_reel_is_probed_before_torch_is_there_and_restored_after(tmp_path: Path, at_start: Change) -> None:
    flag = tmp_path / "flag"
    at_start(ON_IMPORT.format(first=f"while not os.path.exists({str(flag)!r}): time.sleep(0.05)"))
    with embedded(tmp_path / "home") as house:
        house.lead()
        house.start_worker(forked=False)
        sources = {"reel": film(tmp_path / "a.mkv", 16), "photo": photo(tmp_path / "a.png")}
        job_id = house.submit(sources, "[deflicker]")
        wait_until(lambda: house.tasks(kind="probe", state="done"), 60, "the reel is probed")
        assert [row.signature for row in progress.workers(house.database)] == [""]
        assert house.tasks(kind="restore", state="running") == []
        assert house.tasks(kind="inspect") == []  # it is planned for whoever computes, and nobody does
        flag.touch()
        assert house.wait_for(job_id) == "done"
        house.assert_sound(job_id)
        (row,) = progress.workers(house.database)
        assert (row.device, len(row.signature)) == ("cpu", 16)


def test_a_worker_that_is_told_to_leave_while_it_loads_leaves_in_order(tmp_path: Path, at_start: Change) -> None:
    at_start(ON_IMPORT.format(first="print('torch is imported', file=sys.stderr, flush=True); time.sleep(30)"))
    with embedded(tmp_path / "home") as house:
        worker = house.start_worker(forked=False)
        wait_until(lambda: "torch is imported" in _log(house), 30, "it loads")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert [row.state for row in progress.workers(house.database)] == [WorkerState.LEFT]


def test_a_worker_that_cannot_load_torch_leaves_and_says_why(tmp_path: Path, at_start: Change) -> None:
    at_start(ON_IMPORT.format(first="raise ImportError('libcudart.so.99: cannot open shared object file')"))
    with embedded(tmp_path / "home") as house:
        assert house.start_worker(forked=False).wait(30) == 1
        assert [row.state for row in progress.workers(house.database)] == [WorkerState.LEFT]
        assert "libcudart.so.99" in _log(house)


def test_a_worker_without_torch_says_so_before_it_works(tmp_path: Path, at_start: Change) -> None:
    at_start(ABSENT)
    with embedded(tmp_path / "home") as house:
        assert house.start_worker(forked=False).wait(30) == 2
        assert progress.workers(house.database) == []
        assert "WORKER_EXTRA_MISSING" in _log(house)
