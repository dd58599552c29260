"""The workers of a machine: as many as are useful, told their share, and not started for ever."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.errors import OutageError
from db.session import Database
from db.settings import Settings
from orchestrator.processes.errands import start_errand
from orchestrator.processes.fleet import EARLY_DEATHS, Fleet
from orchestrator.processes.shares import worker_memory_mb


@pytest.mark.parametrize("set_mb", [0, 1700])
def test_workers_and_errands_are_told_their_share(
    home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_mb: int
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        subprocess, "Popen", lambda *_, env, **__: told.append(env["REELWRIGHT_WORKER_MEMORY_MB"]) or object()
    )
    house: Any = Settings(home=tmp_path, slots=3, worker_memory_mb=set_mb)
    Fleet(house, home_database).start()
    start_errand(house, "probe")
    assert told == [str(worker_memory_mb(house))] * 4


def test_a_fleet_grows_to_what_is_useful_and_no_further_than_its_slots(
    home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, env, **__: told.append(env["REELWRIGHT_BOOT_ID"]) or object())
    fleet = Fleet(Settings(home=tmp_path, slots=3), home_database)
    fleet.start(1)
    assert len(told) == 1
    fleet.grow(2)
    fleet.grow(1)
    assert [slot.number for slot in fleet.slots] == [0, 1]
    fleet.grow(256)
    assert [slot.boot_id for slot in fleet.slots] == told
    assert len(set(told)) == 3


def test_workers_that_die_of_starting_are_not_started_for_ever(settings: Settings) -> None:
    broken = settings.model_copy(update={"device": "cuda:7", "slots": 1})
    with session.open_database(broken) as database:
        session.upgrade(database)
        fleet, processes = Fleet(broken, database, broken.logs), set[int]()

        def look_after() -> None:
            while len(processes) <= EARLY_DEATHS:
                processes.add(fleet.slots[0].process.pid)
                fleet.restart_dead()
                time.sleep(0.05)

        fleet.start()
        try:
            with pytest.raises(OutageError, match="right after their start") as caught:
                look_after()
            assert len(processes) == EARLY_DEATHS
            assert "worker-0.log" in caught.value.message
            assert "cuda:7" in (broken.logs / "worker-0.log").read_text()
        finally:
            fleet.kill()
