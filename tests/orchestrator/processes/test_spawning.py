"""A worker that is on its way before there is work: taken, left, dead, or orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from db import progress
from db.session import Database
from db.settings import Settings
from orchestrator.processes.fleet import Fleet
from orchestrator.processes.spawning import SpareWorker
from tests.support.servers import wait_until


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_spare_becomes_the_first_worker_and_the_second_is_another(
    settings: Settings, home_database: Database
) -> None:
    settings = settings.model_copy(update={"slots": 2})
    with SpareWorker(settings, settings.logs) as spare:
        assert progress.workers(home_database) == []
        fleet = Fleet(settings, home_database, settings.logs, spare)
        fleet.start(1)
        try:
            assert spare.take() is None
            fleet.grow(2)
            first, second = (slot.boot_id for slot in fleet.slots)
            wait_until(lambda: len(progress.workers(home_database)) == 2, 120, "both work")
            assert {worker.boot_id for worker in progress.workers(home_database)} == {first, second}
        finally:
            fleet.stop()
    assert {worker.state for worker in progress.workers(home_database)} == {"left"}


def test_a_spare_that_nobody_took_is_ended_and_was_never_a_worker(settings: Settings, home_database: Database) -> None:
    with SpareWorker(settings, settings.logs) as spare:
        child = spare._child
        assert child is not None
        assert child.process.poll() is None
    assert child.process.poll() == -signal.SIGKILL
    assert progress.workers(home_database) == []


def test_in_the_place_of_a_spare_that_died_another_worker_is_started(
    settings: Settings, home_database: Database
) -> None:
    with SpareWorker(settings, settings.logs) as spare:
        assert spare._child is not None
        dead = spare._child.process
        dead.kill()
        dead.wait()
        fleet = Fleet(settings.model_copy(update={"slots": 1}), home_database, settings.logs, spare)
        fleet.start()
        try:
            assert [slot.process.pid for slot in fleet.slots] != [dead.pid]
            assert fleet.slots[0].process.poll() is None
        finally:
            fleet.kill()


@pytest.mark.timeout(120)
def test_a_spare_whose_parent_was_killed_ends_by_itself(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from db.settings import Settings
        from orchestrator.processes.spawning import SpareWorker

        home = Path(sys.argv[1])
        with SpareWorker(Settings(home=home), home / "logs") as spare:
            print(spare._child.process.pid, flush=True)
            time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    spare = int(parent.stdout.readline())
    assert is_alive(spare)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: not is_alive(spare), 100, "it ends")
