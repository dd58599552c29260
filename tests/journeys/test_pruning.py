"""What jobs leave is removed beside jobs that go on, and nothing that anybody needs is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import ledger
from db.catalog.stages import Exemption
from db.ledger import PruneRules
from db.records import Source
from orchestrator.upkeep.pruning import NOBODYS, UNDER_WAY, PruneReport, prune, rooms
from tests.journeys.house import House, film, photo
from tests.support.servers import wait_until

RECIPE = "[deflicker, denoise: {method: temporal, radius: 1}]"
NOW = PruneRules(0.0, keep_latest_generation=True)


def _prune(house: House, rules: PruneRules = NOW, *, dry_run: bool = False) -> PruneReport:
    return prune(house.database, house.store, house.settings.logs, rules, dry_run=dry_run)


def _cut_film(path: Path) -> Source:
    """A film that is read from a copy of what can be read of it."""
    source = film(path, 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    return source.model_copy(update={"accept_damaged": True})


def _blobs(house: House) -> dict[str, int]:
    return dict(house.store.sizes("jobs/"))


def test_pruning_beside_work_loses_nothing_and_repairs_can_still_be_taken_back(
    any_house: House, tmp_path: Path
) -> None:
    house = any_house
    house.lead()
    house.hire(1)
    over = house.submit({"photo": photo(tmp_path / "p.png"), "reel": _cut_film(tmp_path / "cut.mkv")}, RECIPE)
    assert house.wait_for(over) == "done"
    frames, first = house.framemd5(over), house.result(over, "photo").outputs["still"]
    ledger.rerun(house.database, over, ledger.Selection(external_ids=("photo",)))
    assert house.wait_for(over) == "done"
    running = house.submit({"reel": film(tmp_path / "reel.mkv", 64)}, RECIPE)
    wait_until(lambda: house.tasks(job_id=running, kind="restore", state="done"), 60, "a segment is done")
    for job_id in (over, running):
        items = {task.item_id for task in house.tasks(job_id=job_id) if task.item_id is not None}
        house.store.put_bytes(f"jobs/{job_id}/items/{max(items)}/g1/restore-0-8/t1-a9-dead/chunk.mkv", b"dead")
    before = _blobs(house)
    assert {UNDER_WAY, NOBODYS, "results", "earlier results"} <= set(rooms(house.database, house.store))

    would = _prune(house, dry_run=True)
    assert before.items() <= _blobs(house).items()
    did = _prune(house)
    assert (did.jobs, did.rows["generations"], did.rows["mezzanines"]) == (1, 1, 1)
    assert (would.jobs, would.rows) == (did.jobs, did.rows)
    gone = {key: size for key, size in before.items() if key not in _blobs(house)}
    assert {key.rpartition("/")[2] for key in gone} >= {"mezzanine.mkv", "chunk.mkv", first.name}
    assert f"jobs/{running}/" not in " ".join(key for key in gone if "-dead/" in key)
    assert first.key in gone

    assert house.wait_for(running) == "done"
    for job_id in (over, running):
        house.assert_sound(job_id)
    assert house.framemd5(over) == frames
    ledger.take_back(house.database, over, ["reel"], "denoise", Exemption())
    assert house.wait_for(over) == "done"
    house.assert_sound(over)
    assert len(house.framemd5(over)) == len(frames)
    assert house.framemd5(over) != frames


@pytest.mark.parametrize("rules", [PruneRules(3600.0), PruneRules(0.0, states=())])
def test_what_is_young_or_in_another_state_stays(house: House, tmp_path: Path, rules: PruneRules) -> None:
    house.lead()
    house.hire(1)
    job_id = house.submit({"photo": photo(tmp_path / "p.png")}, "[]")
    assert house.wait_for(job_id) == "done"
    house.store.put_bytes("jobs/1/items/1/g1/restore/t1-a9-dead/still.png", b"dead")
    before = _blobs(house)
    report = _prune(house, rules)
    assert (report.jobs, report.blobs.blobs) == (0, 0)
    assert _blobs(house) == before
