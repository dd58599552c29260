"""Workers of two releases side by side: a reel stays with one of them, and outlives it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select

import reelwright
from db import progress
from db.tables import Attempt, Task, Worker
from orchestrator import cli
from tests.journeys.house import House, embedded, film, photo
from tests.support.servers import wait_until

EARLIER = """
from importlib import metadata
version = metadata.version
metadata.version = lambda name: "0.0.9" if name == "reelwright" else version(name)
"""
RECIPE = "[deflicker, denoise: {method: temporal, radius: 1}]"


def _hire_earlier(house: House, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hire a worker that takes itself for one of an earlier release."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(EARLIER)
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        house.hire(forked=False)


def _signatures(house: House, kind: str) -> dict[int, set[str]]:
    """Compute signatures of those who finished tasks of a kind, by item."""
    finished = select(Task.item_id, Worker.signature).join(Attempt, Attempt.task_id == Task.id)
    statement = finished.join(Worker, Worker.boot_id == Attempt.worker)
    found: dict[int, set[str]] = {}
    with house.database.read() as connection:
        for item_id, signature in connection.execute(
            statement.where(Task.kind == kind, Task.dropped.is_(True), Attempt.outcome == "done")
        ):
            found.setdefault(item_id, set()).add(signature)
    return found


def test_reels_stay_with_one_release_and_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with embedded(tmp_path / "home", signature_wait_seconds=1.0) as house:
        house.lead()
        house.hire()
        _hire_earlier(house, tmp_path / "earlier", monkeypatch)
        rows = progress.workers(house.database)
        assert {row.release for row in rows} == {"0.0.9", reelwright.__version__}
        assert len({row.signature for row in rows}) == 2
        sources = {f"reel{number}": film(tmp_path / f"{number}.mkv", 32, number) for number in range(3)}
        job_id = house.submit({**sources, "photo": photo(tmp_path / "p.png")}, RECIPE)
        assert house.wait_for(job_id) == "done"
        house.assert_sound(job_id)
        assert cli.run(["--home", str(house.settings.home), "status", str(job_id)]) == 0
        assert "Workers of several releases: 1 of 0.0.9, 1 of" in capsys.readouterr().out
        assert all(len(signatures) == 1 for signatures in _signatures(house, "restore").values())

        second = house.submit({"reel": film(tmp_path / "long.mkv", 96, 9)}, RECIPE)
        wait_until(lambda: house.tasks(job_id=second, kind="restore", state="done"), 60, "a segment is done")
        house.kill(house.worker_of(house.wait_running("restore")))
        assert house.wait_for(second) == "done"
        house.assert_sound(second)
        assert len(house.framemd5(second)) == 96
