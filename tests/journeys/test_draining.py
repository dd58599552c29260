"""A worker that was drained ends by itself, and no successor is started in its place."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import update

from db import progress
from db.errors import OutageError
from db.tables import Worker
from orchestrator.processes.fleet import Fleet
from tests.journeys.house import House
from tests.support.servers import wait_until


def test_a_drained_worker_leaves_in_order_and_for_good(house: House) -> None:
    fleet = Fleet(house.settings.model_copy(update={"slots": 1}), house.database, house.settings.logs)
    fleet.start()
    (slot,) = fleet.slots
    try:
        wait_until(lambda: progress.workers(house.database), 60, "the worker is ready")
        with house.database.write() as connection:
            connection.execute(update(Worker).values(state="drained"))
        wait_until(lambda: slot.process.poll() is not None, 30, "the worker leaves")
        assert slot.process.returncode in {0, -signal.SIGTERM}  # the latter before it is ready to work
        with pytest.raises(OutageError, match="others finished"):
            fleet.restart_dead()
        assert fleet.slots == []
    finally:
        slot.process.kill()
        fleet.kill()
