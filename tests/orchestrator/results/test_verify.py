"""What ``verify`` finds where nothing needs a pixel: lost and changed outputs, records that disagree, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from db.child_process import ChildProcess
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from db.tables import Item
from orchestrator.processes import errands
from orchestrator.results import verify as verifying
from orchestrator.results.export import export
from orchestrator.results.verify import Finding, Scope
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


@pytest.fixture
def job(settings: Settings, home_database: Database, store: Store, archive: Path) -> int:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity")).job_id
    for name in ("one", "two"):
        finish(home_database, job_id, name, {"still": store.put_bytes(f"jobs/1/{name}/s.jpg", name.encode())})
    return job_id


def _checks(settings: Settings, database: Database, store: Store, job: int, **wish: Any) -> list[Finding]:
    return list(verifying.verify(settings, database, store, job, Scope(frames=False, **wish)))


def _failed(checks: list[Finding]) -> dict[str, str]:
    return {check.where: check.code for check in checks if check.state == "failed"}


def test_what_holds_is_said_and_what_was_never_made_is_skipped(
    settings: Settings, home_database: Database, store: Store, job: int
) -> None:
    checks = _checks(settings, home_database, store, job)
    assert _failed(checks) == {}
    assert {check.where for check in checks if check.what == "output" and check.state == "ok"} == {
        "one still",
        "two still",
    }
    skipped = {check.where: check.message for check in checks if check.state == "skipped"}
    assert "FILE_MISSING" in skipped["gone"]
    assert "pending" in skipped["reel"]


def test_outputs_that_are_lost_or_changed_are_found(
    settings: Settings, home_database: Database, store: Store, job: int
) -> None:
    store.delete("jobs/1/one/")
    changed = store.local_path("jobs/1/two/s.jpg")
    assert changed is not None
    changed.chmod(0o644)
    changed.write_bytes(b"tow")
    checks = _checks(settings, home_database, store, job)
    assert _failed(checks) == {"one still": "BLOB_MISSING", "two still": "CHECKSUM_MISMATCH"}
    assert all(check.remedy for check in checks if check.state == "failed")
    assert any("sha256" in check.message for check in checks if check.where == "two still")


def test_records_that_disagree_are_found(
    settings: Settings, home_database: Database, store: Store, job: int, archive: Path
) -> None:
    again = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", new=True)).job_id
    blob = store.put_bytes("jobs/2/one/s.jpg", b"x")
    finish(home_database, again, "one", {"still": blob}, {"recipe_fingerprint": "another"})
    with home_database.write() as connection:
        connection.execute(update(Item).where(Item.job_id == again, Item.external_id == "two").values(state="done"))
    found = _failed(_checks(settings, home_database, store, again))
    assert found == {"one recipe fingerprint": "RECORD_DIFFERS", "two": "RECORD_DIFFERS"}


def test_a_folder_is_held_against_the_records(
    settings: Settings, home_database: Database, store: Store, job: int, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(home_database, store, job, out)
    assert _failed(_checks(settings, home_database, store, job, folder=out)) == {}
    (out / "one.jpg").unlink()
    (out / "two.jpg").unlink()
    (out / "two.jpg").write_bytes(b"other")
    found = _failed(_checks(settings, home_database, store, job, folder=out))
    assert found == {str(out / "one.jpg"): "FILE_MISSING", str(out / "two.jpg"): "CHECKSUM_MISMATCH"}


@pytest.mark.parametrize(
    ("end", "code"), [("os.kill(os.getpid(), 9)", "OUT_OF_MEMORY"), ("os._exit(2)", "WORKER_FAULT")]
)
def test_a_process_that_dies_is_a_failure_and_the_next_order_gets_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, end: str, code: str
) -> None:
    started = []

    def start(_: Settings, errand: str, _seconds: float) -> ChildProcess:
        started.append(errand)
        script = f"import os, sys\nif 'good' not in sys.stdin.readline(): {end}\nprint('{{}}', flush=True)"
        return ChildProcess(["-c", script])

    monkeypatch.setattr(errands, "start_errand", start)
    with errands.WorkerProcess(settings, "verify") as worker:
        assert verifying._ask(worker, {})["code"] == code
        assert verifying._ask(worker, {"good": 1}) == {}
    assert started == ["verify", "verify"]


def test_cells_to_restore_again_are_spread_over_the_reel() -> None:
    class Facts:
        frame_count = 100

    class Record:
        facts, batch_frames = Facts, 8

    assert verifying._rerun_spans(Record, 24) == ((0, 8), (48, 56), (96, 100))  # type: ignore[arg-type]
    assert verifying._rerun_spans(Record, 1) == ((0, 8),)  # type: ignore[arg-type]
    assert len(verifying._rerun_spans(Record, 1000)) == 13  # type: ignore[arg-type]


def test_the_command_leaves_with_1_when_something_does_not_hold(job: int, store: Store, at_home: Any) -> None:
    code, said = at_home("verify", job, "--no-decode")
    assert (code, said["holds"], said["checks"]["output"]["ok"]) == (0, True, 2)
    code, said = at_home("verify", job, "--item", "one", "--no-decode")
    assert said["checks"]["output"] == {"ok": 1, "failed": 0, "skipped": 0}
    store.delete("jobs/1/one/")
    code, said = at_home("verify", job, "--no-decode")
    assert (code, said["findings"][0]["code"]) == (1, "BLOB_MISSING")
    assert at_home("verify", job, "--item", "nobody")[1]["error"]["code"] == "UNKNOWN_ITEM"
    assert at_home("verify", "--no-decode")[0] == 1  # the newest job
    assert at_home("verify", 99)[1]["error"]["code"] == "UNKNOWN_JOB"
    assert at_home("verify", "--bag", "/nowhere")[1]["error"]["code"] == "BAG_INCOMPLETE"
