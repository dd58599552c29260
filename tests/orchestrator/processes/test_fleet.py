"""The workers of a machine: as many as are useful, told their share, and not started for ever."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from db import ledger, session
from db.errors import OutageError, ReelwrightError
from db.session import Database
from db.settings import Settings
from db.states import WorkerState
from db.tables import Worker
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


@pytest.fixture
def sleepers(home_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A fleet of two whose workers do nothing, and die when they are killed."""
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: start(["sleep", "600"]))
    fleet = Fleet(settings.model_copy(update={"slots": 2}), home_database, settings.logs)
    fleet.start()
    yield fleet
    fleet.kill()


def kill(fleet: Fleet, number: int) -> None:
    """Kill whoever works in a slot, and let the fleet do what it does in every round."""
    for slot in fleet.slots:
        if slot.number == number:
            slot.process.kill()
            slot.process.wait()
    fleet.restart_dead()
    fleet.grow(2)


@pytest.mark.parametrize(("killed", "last"), [(1, 0), (0, 1)])
def test_a_slot_whose_workers_are_killed_is_given_up_and_those_of_others_go_on(
    sleepers: Fleet, killed: int, last: int
) -> None:
    healthy = next(slot.process.pid for slot in sleepers.slots if slot.number == last)
    for _ in range(EARLY_DEATHS + 1):
        kill(sleepers, killed)
    assert [(slot.number, slot.process.pid) for slot in sleepers.slots] == [(last, healthy)]
    for _ in range(EARLY_DEATHS - 1):
        kill(sleepers, last)
    assert [slot.number for slot in sleepers.slots] == [last]
    with pytest.raises(ReelwrightError, match=f"right after their start.*worker-{last}.log"):
        kill(sleepers, last)


def test_a_drained_worker_gets_no_successor_when_the_fleet_grows(sleepers: Fleet, home_database: Database) -> None:
    boot_id = sleepers.slots[1].boot_id
    ledger.register_worker(home_database, ledger.WorkerIdentity(boot_id, "host", 1, "cpu", "sig", {}))
    with home_database.write() as connection:
        connection.execute(update(Worker).values(state=WorkerState.DRAINED))
    kill(sleepers, 1)
    assert [slot.number for slot in sleepers.slots] == [0]


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
