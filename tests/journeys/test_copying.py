"""An installation is carried elsewhere, and goes on there as if nothing had happened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from db import ledger, progress
from db.errors import InputError
from db.ledger import PruneRules
from db.store.local import LocalStore
from orchestrator.upkeep import copying
from orchestrator.upkeep.copying import BACKUP_FILE, BACKUP_STORE, CopyReport
from orchestrator.upkeep.pruning import prune
from tests.journeys.house import House, embedded, film, photo, restored_in
from tests.support.servers import wait_until

RECIPE = "[deflicker, denoise: {method: temporal, radius: 1}]"


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, int]]:
    """A job whose photo is done and whose reel is being restored: some segments are done, one is held by nobody now."""
    folder = tmp_path_factory.mktemp("half-done")
    with embedded(folder / "home") as house:
        house.lead()
        house.hire(1)
        job_id = house.submit({"photo": photo(folder / "p.png"), "reel": film(folder / "reel.mkv", 64)}, RECIPE)
        wait_until(lambda: _kill_at_work(house), 60, "a segment is done and another one begun")
        _stop_leading(house)
        yield house, job_id


def _kill_at_work(house: House) -> bool:
    """Kill the worker if a segment is done and it is at another one, which it cannot finish meanwhile."""
    with house.database.write():
        at_work = all(house.tasks(kind="restore", state=state) for state in ("done", "running"))
        if at_work:
            house.kill(house.workers[0])
    return at_work


def _stop_leading(house: House) -> None:
    for thread, stop in house.loops:
        stop.set()
        thread.join(20)
    house.loops.clear()


def _copy(source: House, target: House, **options: Any) -> CopyReport:
    return copying.copy_installation(
        source.database, source.store, target.database, target.store, source.settings.home, **options
    )


def _restore(folder: Path, target: House) -> CopyReport:
    return copying.restore(folder, target.database, target.store, target.settings.home)


def _finish(house: House, job_id: int) -> list[str]:
    house.lead()
    house.hire(1)
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)
    return house.framemd5(job_id)


def _undisturbed(tmp_path: Path) -> list[str]:
    source = film(tmp_path / "reel.mkv", 64)
    return restored_in(tmp_path / "undisturbed", source, RECIPE, segment_frames=16, workers=1)


@contextmanager
def _other(tmp_path: Path) -> Iterator[House]:
    with embedded(tmp_path / "other") as house:
        yield house


def test_a_backup_of_unfinished_work_goes_on_elsewhere_to_the_same_bits(
    half_done: tuple[House, int], tmp_path: Path
) -> None:
    house, job_id = half_done
    report = copying.back_up(house.database, house.store, tmp_path / "backup")
    assert report.blobs.lacking == {}
    assert {path.name for path in (tmp_path / "backup").iterdir()} == {BACKUP_FILE, BACKUP_STORE}
    with _other(tmp_path) as other:
        os.rename(house.store.uri, f"{house.store.uri}-away")
        restored = _restore(tmp_path / "backup", other)
        os.rename(f"{house.store.uri}-away", house.store.uri)
        assert restored.tables == report.tables
        assert other.item_states(job_id) == {"photo": "done", "reel": "running"}
        done = len(other.tasks(kind="restore", state="done"))
        assert done > 0
        assert _finish(other, job_id) == _undisturbed(tmp_path)
        # What was done stayed done: no segment was begun again but the one whose worker died.
        assert sum(task.attempt > 1 for task in other.tasks(kind="restore")) <= 1


def test_a_backup_while_workers_work_and_others_prune_holds_everything_that_it_names(
    house: House, tmp_path: Path
) -> None:
    house.lead()
    house.hire(2)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 64)}, RECIPE)
    folder, rounds = tmp_path / "backup", 0
    while progress.job(house.database, job_id).state != "done":
        prune(house.database, house.store, house.settings.logs, PruneRules(0.0), dry_run=False)
        assert copying.back_up(house.database, house.store, folder).blobs.lacking == {}
        rounds += 1
    assert rounds > 0
    last = copying.back_up(house.database, house.store, folder, check=True)
    assert (last.blobs.lacking, last.blobs.there > 0) == ({}, True)
    with _other(tmp_path) as other:
        _restore(folder, other)
        other.assert_sound(job_id)
        assert other.framemd5(job_id) == house.framemd5(job_id)


def test_a_home_moves_to_servers_and_back(half_done: tuple[House, int], served_house: House, tmp_path: Path) -> None:
    house, job_id = half_done
    first = _copy(house, served_house)
    assert (first.blobs.copied > 0, first.blobs.there, first.blobs.lacking) == (True, 0, {})
    again = _copy(house, served_house)
    assert (again.blobs.copied, again.blobs.there) == (0, first.blobs.copied)
    assert again.tables == first.tables
    frames = _finish(served_house, job_id)
    assert frames == _undisturbed(tmp_path)
    second_job = served_house.submit({"photo": photo(tmp_path / "q.png", 2)}, "[]")
    assert second_job > job_id  # numbers go on behind those that came with rows
    assert served_house.wait_for(second_job) == "done"
    for worker in served_house.workers:
        served_house.kill(worker)
    _stop_leading(served_house)
    with _other(tmp_path) as other:
        _copy(served_house, other)
        other.assert_sound(job_id)
        assert other.framemd5(job_id) == frames
        assert {row.state for row in progress.workers(other.database)} == {"left"}


def test_a_copy_that_is_cut_short_has_no_rows_and_goes_on(half_done: tuple[House, int], tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    house, job_id = half_done
    with _other(tmp_path) as other:
        with pytest.raises(KeyboardInterrupt):
            _copy(house, other, told=stop)
        assert ledger.is_empty(other.database)
        report = _copy(house, other)
        assert (report.blobs.copied, report.blobs.there > 0) == (0, True)
        assert other.item_states(job_id) == house.item_states(job_id)


def test_an_installation_with_rows_of_its_own_is_left_alone(half_done: tuple[House, int], tmp_path: Path) -> None:
    house, _ = half_done
    with _other(tmp_path) as other:
        own = other.submit({"photo": photo(tmp_path / "q.png", 2)}, "[]")
        with pytest.raises(InputError) as caught:
            _copy(house, other)
        assert caught.value.code == "TARGET_IN_USE"
        assert other.item_states(own) == {"photo": "pending"}


def test_rotten_and_lost_blobs_are_named_and_no_row_is_copied(half_done: tuple[House, int], tmp_path: Path) -> None:
    house, job_id = half_done
    blob = house.result(job_id, "photo").outputs["still"]
    path = house.store.local_path(blob.key)
    assert path is not None
    good = path.read_bytes()
    path.chmod(0o644)
    for bad in (bytes(len(good)), None):
        path.unlink()
        if bad is not None:
            path.write_bytes(bad)
        with _other(tmp_path) as other:
            with pytest.raises(InputError) as caught:
                _copy(house, other)
            assert (caught.value.code, blob.key in caught.value.message) == ("BLOB_MISSING", True)
            assert ledger.is_empty(other.database)
            assert other.store.size(blob.key) is None
        report = copying.back_up(house.database, house.store, tmp_path / "backup")
        assert list(report.blobs.lacking) == [blob.key]
    path.write_bytes(good)
    assert copying.back_up(house.database, house.store, tmp_path / "backup").blobs.lacking == {}


def test_what_rotted_in_a_backup_is_found_and_mended(half_done: tuple[House, int], tmp_path: Path) -> None:
    house, job_id = half_done
    folder, key = tmp_path / "backup", house.result(job_id, "photo").outputs["still"].key
    copying.back_up(house.database, house.store, folder)
    copy = LocalStore(folder / BACKUP_STORE).local_path(key)
    good = copy.read_bytes()
    copy.chmod(0o644)
    copy.write_bytes(bytes(len(good)))
    assert copying.back_up(house.database, house.store, folder, check=True).blobs.copied == 1
    assert copy.read_bytes() == good


def test_places_that_are_no_backups(house: House, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        copying.back_up(house.database, house.store, tmp_path / "notes")
    assert caught.value.code == "PATH_UNUSABLE"
    with _other(tmp_path) as other, pytest.raises(InputError) as caught:
        _restore(tmp_path / "notes", other)
    assert caught.value.code == "FILE_MISSING"
    assert os.listdir(tmp_path / "notes") == ["a.txt"]
