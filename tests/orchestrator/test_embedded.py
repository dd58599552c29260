"""Working here and now on one job."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from db import ledger, progress
from db.errors import InputError
from db.recipe import resolve
from db.session import Database
from db.settings import Settings
from db.states import JobState
from db.store import open_store
from orchestrator import embedded


def test_a_job_that_is_not_all_there_is_not_waited_for(settings: Settings, home_database: Database) -> None:
    request = ledger.JobRequest("cut off", "/a/m.csv", "k" * 64, resolve("identity"))
    job = ledger.open_job(home_database, request)
    with pytest.raises(InputError, match=r"/a/m\.csv") as caught:
        embedded.run_job(settings, home_database, open_store(settings), job.id, on_progress=lambda row: None)
    assert caught.value.code == "WRONG_STATE"
    assert f"cancel {job.id}" in caught.value.remedy
    ledger.cancel_job(home_database, job.id)
    assert progress.job(home_database, job.id).state is JobState.CANCELLED


def test_run_says_what_to_do_about_a_submission_that_was_cut_off(
    settings: Settings, home_database: Database, at_home: Any, tmp_path: Path
) -> None:
    request = ledger.JobRequest("cut off", str(tmp_path / "m.csv"), "k" * 64, resolve("identity"))
    job = ledger.open_job(home_database, request)
    code, said = at_home("run", "--job", job.id)
    assert (code, said["error"]["code"] if "error" in said else said["code"]) == (4, "WRONG_STATE")


def test_a_first_worker_is_not_kept_waiting_for_the_next_round(settings: Settings, home_database: Database) -> None:
    patient = settings.model_copy(update={"tick_seconds": 60.0})
    identity = ledger.WorkerIdentity("w1", "host", 1, "cpu", "", {})
    hired = threading.Timer(0.1, ledger.register_worker, (home_database, identity))
    began = time.monotonic()
    hired.start()
    embedded._await_worker(home_database, patient)
    hired.join()
    assert 0.1 <= time.monotonic() - began < 30
