"""What each worker process of a machine is given."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.errors import OutageError
from db.session import Database
from db.settings import Settings
from orchestrator import supervise
from orchestrator.supervise import EARLY_DEATHS, Fleet


def share(slots: int, set_mb: int = 0) -> int:
    return supervise.worker_memory_mb(Settings(slots=slots, worker_memory_mb=set_mb))


def test_workers_share_four_fifths_of_the_memory() -> None:
    most = supervise.machine_memory() * 4 // 5 // 10**6
    assert share(1) == most
    assert share(2) in (most // 2, min(most, 2000))


def test_a_share_is_never_too_small_for_a_network_and_never_more_than_there_is() -> None:
    most = supervise.machine_memory() * 4 // 5 // 10**6
    assert share(256) == min(most, 2000)
    assert share(256, set_mb=1600) == 1600


def test_a_worker_has_its_share_of_the_cores_for_codecs() -> None:
    cores = len(os.sched_getaffinity(0))
    assert supervise.codec_threads(Settings(slots=1)) == min(16, cores)
    assert supervise.codec_threads(Settings(slots=cores)) == 1
    assert supervise.codec_threads(Settings(slots=256)) == 1
    assert supervise.codec_threads(Settings(slots=1, codec_threads=3)) == 3


@pytest.mark.parametrize(
    ("own", "limit"),
    [
        ("0::/", "sys/fs/cgroup/memory.max"),
        ("0::/system.slice/reelwright.service", "sys/fs/cgroup/system.slice/reelwright.service/memory.max"),
        ("0::/system.slice/reelwright.service", "sys/fs/cgroup/system.slice/memory.max"),
        ("9:cpu:/a\n4:memory:/docker/x", "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes"),
        ("9:cpu:/a\n4:memory:/docker/x", "sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ],
)
def test_a_container_has_no_more_than_its_own_limit(tmp_path: Path, own: str, limit: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{own}\n")
    (tmp_path / limit).parent.mkdir(parents=True)
    (tmp_path / limit).write_text("max\n")
    assert supervise.machine_memory(tmp_path) == supervise.machine_memory(tmp_path / "nothing")
    (tmp_path / limit).write_text("1000000000\n")
    assert supervise.machine_memory(tmp_path) == 10**9


@pytest.mark.parametrize("set_mb", [0, 1700])
def test_workers_and_errands_are_told_their_share(
    home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_mb: int
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        subprocess, "Popen", lambda *_, env, **__: told.append(env["REELWRIGHT_WORKER_MEMORY_MB"]) or object()
    )
    house: Any = Settings(home=tmp_path, slots=3, worker_memory_mb=set_mb)
    supervise.Fleet(house, home_database).start()
    supervise.start_errand(house, "probe")
    assert told == [str(share(3, set_mb))] * 4


def test_a_fleet_grows_to_what_is_useful_and_no_further_than_its_slots(
    home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, env, **__: told.append(env["REELWRIGHT_BOOT_ID"]) or object())
    fleet = supervise.Fleet(Settings(home=tmp_path, slots=3), home_database)
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
