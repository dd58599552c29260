"""Whole jobs, and the promise that a reel's result does not depend on who restored it how."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from db import ledger, progress
from db.recipe import parse
from db.records import Source
from db.s3 import connect
from db.states import ItemKind
from orchestrator.embedded import _release_dead_workers
from tests.journeys.house import House, embedded, film, photo, restored_in
from tests.support import servers
from tests.support.reels import longest_recipe
from tests.support.servers import wait_until


def all_steps(**trap: object) -> str:
    """The longest recipe, a trap in its middle and enlarging at its end."""
    document = json.loads(longest_recipe(outputs=["access", "scores", "masks"]))
    document["recipe"].insert(len(document["recipe"]) // 2, {"trap": {"radius": 1, **trap}})
    document["recipe"].append({"upscale": {"scale": 2}})
    return json.dumps(document)


def test_a_job_of_stills_and_a_reel_with_two_workers(any_house: House, tmp_path: Path) -> None:
    house = any_house
    sources = {"reel": film(tmp_path / "reel.mkv", 40)}
    sources |= {f"photo{number}": photo(tmp_path / f"{number}.png", number) for number in range(5)}
    sources["gone"] = sources["photo0"].model_copy(update={"uri": str(tmp_path / "gone.png")})
    house.lead()
    house.hire(2)
    job_id = house.submit(sources, "- deflicker\n- denoise: {method: temporal, radius: 1}")
    assert house.wait_for(job_id) == "done_with_failures"
    states = house.item_states(job_id)
    assert states.pop("gone") == "failed"
    assert set(states.values()) == {"done"}
    (failure,) = progress.failures(house.database, job_id)
    assert failure.code == "FILE_MISSING"
    assert failure.remedy
    house.assert_sound(job_id)
    assert len(house.framemd5(job_id)) == 40
    workers = {attempt.worker for attempt in progress.attempts(house.database, job_id, "reel")}
    assert len(workers) == 2


def test_a_reel_does_not_depend_on_cuts_or_workers_or_deaths(tmp_path: Path) -> None:
    source = film(tmp_path / "reel.mkv", 44, dirty=True)
    plans = {"one piece": (1000, 1), "unequal": (24, 2)}
    digests = {
        name: restored_in(tmp_path / name, source, all_steps(), segment_frames=segment_frames, workers=workers)
        for name, (segment_frames, workers) in plans.items()
    }
    flag = tmp_path / "killed.flag"
    steps = all_steps(frame=20, action="kill_once", flag=str(flag))
    digests["killed"] = restored_in(tmp_path / "killed", source, steps, segment_frames=16, workers=2, dies=flag)
    assert len(digests["one piece"]) == 44
    assert [name for name, found in digests.items() if found != digests["one piece"]] == []


def test_a_long_reel_is_looked_through_and_read_back_by_many_and_comes_out_the_same(tmp_path: Path) -> None:
    source, outputs = film(tmp_path / "reel.mkv", 300), []
    for segment_frames, workers in ((1000, 1), (24, 2)):
        with embedded(tmp_path / f"{workers}", segment_frames=segment_frames) as house:
            house.lead()
            house.hire(workers)
            job_id = house.submit({"reel": source}, "recipe: [deflicker]\noutputs: [access, scores]")
            assert house.wait_for(job_id) == "done"
            house.assert_sound(job_id)
            kinds = Counter(row.kind for row in progress.attempts(house.database, job_id, "reel"))
            assert kinds == {
                "probe": 1, "inspect": -(-300 // segment_frames), "merge": 1, "restore": -(-300 // segment_frames),
                "read_back": 3, "assemble": 1,
            }  # fmt: skip
            result = house.result(job_id, "reel")
            outputs.append({name: blob.sha256 for name, blob in result.outputs.items() if name != "timeline"})
    assert outputs[0].keys() >= {"master", "access", "scores", "framemd5"}
    assert outputs[0] == outputs[1]


def test_rerun_of_one_item_with_another_recipe_keeps_the_first_result(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    job_id = house.submit({"a": photo(tmp_path / "a.png"), "b": photo(tmp_path / "b.png", 2)}, "[]")
    assert house.wait_for(job_id) == "done"
    before = house.result(job_id, "a")
    selection = ledger.Selection(external_ids=("a",))
    ledger.rerun(house.database, job_id, selection, recipe=parse("- upscale", "big"))
    assert house.wait_for(job_id) == "done"
    after = house.result(job_id, "a")
    assert (before.generation, after.generation) == (1, 2)
    assert house.bytes_of(before.outputs["still"]) != house.bytes_of(after.outputs["still"])
    house.assert_sound(job_id)


def test_a_reel_goes_on_where_the_machine_was_switched_off(tmp_path: Path) -> None:
    """Everything is killed at once in the middle; a second start finishes and keeps the segments that were done."""
    flag = tmp_path / "flag"
    with embedded(tmp_path / "home") as house:
        house.lead()
        house.hire(1)
        recipe = f"- trap: {{frame: 35, action: wait, flag: {flag}}}"
        job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 40)}, recipe)
        wait_until(flag.with_suffix(".reached").exists, 60, "the last segment is under way")
        assert len(house.tasks(kind="restore", state="done")) == 2
    flag.touch()
    with embedded(tmp_path / "home") as house:
        _release_dead_workers(house.database)
        house.lead()
        house.hire(1)
        assert house.wait_for(job_id) == "done"
        attempts = progress.attempts(house.database, job_id, "reel")
        assert [(row.start_frame, row.outcome) for row in attempts if row.kind == "restore"] == [
            (0, "done"), (16, "done"), (32, "lost"), (32, "done"),
        ]  # fmt: skip
        house.assert_sound(job_id)


@pytest.mark.parametrize("verb", ["leave", "die"])
def test_a_worker_that_is_told_to_leave_stops_at_a_frame_and_costs_nothing(
    house: House, tmp_path: Path, verb: str
) -> None:
    house.lead()
    house.hire(1)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 16)}, "- trap: {seconds: 0.3}")
    task = house.wait_running("restore")
    worker = house.worker_of(task)
    worker.send_signal(signal.SIGTERM if verb == "leave" else signal.SIGKILL)
    worker.wait(20)
    house.hire(1)
    assert house.wait_for(job_id) == "done"
    outcomes = [row.outcome for row in progress.attempts(house.database, job_id, "reel") if row.kind == "restore"]
    assert outcomes == ["released" if verb == "leave" else "lost", "done"]
    house.assert_sound(job_id)


def test_sources_in_s3_are_restored_and_missing_ones_are_named(
    served_house: House, s3: servers.S3, tmp_path: Path
) -> None:
    house = served_house
    client = connect(house.settings)
    client.create_bucket(Bucket="archive-in")
    for name, source in {"reel": film(tmp_path / "reel.mkv", 16), "still": photo(tmp_path / "still.png")}.items():
        client.upload_file(source.uri, "archive-in", f"folder/{name}{Path(source.uri).suffix}")
    sources = {
        "reel": Source(uri="s3://archive-in/folder/reel.mkv", kind=ItemKind.REEL),
        "still": Source(uri="s3://archive-in/folder/still.png", kind=ItemKind.STILL),
        "gone": Source(uri="s3://archive-in/folder/gone.png", kind=ItemKind.STILL),
    }
    house.lead()
    house.hire(1)
    job_id = house.submit(sources, "[]")
    assert house.wait_for(job_id) == "done_with_failures"
    assert house.item_states(job_id) == {"reel": "done", "still": "done", "gone": "failed"}
    (failure,) = progress.failures(house.database, job_id)
    assert failure.code == "FILE_MISSING"
    assert len(house.framemd5(job_id)) == 16
    house.assert_sound(job_id)
