"""Things that go wrong. After each: one accepted result an item, sound pointers, counters that equal a recount."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db import ledger, progress
from db.broker import CeleryBroker
from db.errors import DatabaseUnavailable, InputError
from db.ledger import Doorbell
from db.recipe import parse
from tests.journeys.house import House, embedded, film, photo, served, swallow_doorbells
from tests.support import servers
from tests.support.proxy import forgetful_proxy
from tests.support.servers import wait_until

pytestmark = pytest.mark.chaos


def trap(frame: int, action: str, flag: Path | str = "", **more: object) -> str:
    params = {"frame": frame, "action": action, "flag": str(flag), **more}
    return json.dumps([{"trap": params}])


def test_a_worker_that_dies_between_doorbell_and_lease_loses_nothing(any_house: House, tmp_path: Path) -> None:
    house = any_house
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 16)}, "[]")
    house.hire(1)
    worker = house.workers[0]
    house.freeze(worker)
    house.lead()
    wait_until(lambda: house.tasks(state="queued"), 20, "a doorbell is rung")
    time.sleep(0.3)
    swallow_doorbells(house)
    house.kill(worker)
    house.hire(1)
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)


def test_a_worker_that_dies_after_its_upload_and_before_its_commit_leaves_no_trace(
    house: House, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    house.lead()
    house.hire(1)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 16)}, trap(15, "wait", flag))
    wait_until(flag.with_suffix(".reached").exists, 60, "the last frame is reached")
    chunk = f"{house.tasks(kind='restore')[0].id}-a1"
    # Nobody can commit while this transaction is open; the upload needs no database.
    with house.database.write():
        flag.touch()
        wait_until(lambda: any(chunk in key for key in house.store.keys("jobs/")), 30, "the chunk is uploaded")
        time.sleep(0.5)
        house.kill(house.workers[0])
    house.hire(1)
    assert house.wait_for(job_id) == "done"
    outcomes = [row.outcome for row in progress.attempts(house.database, job_id, "reel") if row.kind == "restore"]
    assert outcomes == ["lost", "done"]
    house.assert_sound(job_id)


def test_a_worker_that_slept_past_its_lease_is_refused(any_house: House, tmp_path: Path) -> None:
    house, flag = any_house, tmp_path / "flag"
    house.lead()
    house.hire(1)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 16)}, trap(3, "wait", flag))
    wait_until(flag.with_suffix(".reached").exists, 60, "the segment is under way")
    sleeper = house.workers[0]
    house.freeze(sleeper)
    flag.touch()
    house.hire(1)
    assert house.wait_for(job_id) == "done"
    result = house.result(job_id, "reel")
    sleeper.send_signal(signal.SIGCONT)
    sleeper.wait(20)  # it notices by its own clock and leaves
    assert house.result(job_id, "reel") == result
    outcomes = [row.outcome for row in progress.attempts(house.database, job_id, "reel") if row.kind == "restore"]
    assert outcomes == ["lost", "done"]
    house.assert_sound(job_id)


def test_redis_loses_everything(served_house: House, redis: servers.Redis, tmp_path: Path) -> None:
    house = served_house
    house.hire(2)
    job_id = house.submit({f"p{n}": photo(tmp_path / f"{n}.png", n) for n in range(12)}, "- trap: {seconds: 0.2}")
    house.lead()
    wait_until(lambda: house.tasks(state="running"), 30, "work is under way")
    redis.kill()
    time.sleep(1)
    redis.start()
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)


def test_message_files_vanish_and_torn_ones_turn_up(house: House, tmp_path: Path) -> None:
    house.hire(1)
    sources = {f"p{n}": photo(tmp_path / f"{n}.png", n) for n in range(4)} | {"r": film(tmp_path / "r.mkv", 24)}
    job_id = house.submit(sources, "- trap: {seconds: 0.1}")
    house.lead()
    wait_until(lambda: house.tasks(state="running"), 30, "work is under way")
    inbox = house.settings.messages / "in"
    shutil.rmtree(inbox)
    inbox.mkdir()
    for number in range(20):
        (inbox / f"{number:020d}_x.restore.msg").write_bytes(b'{"body"' if number % 2 else b"")
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)


def test_duplicated_reordered_and_forged_messages_change_nothing(any_house: House, tmp_path: Path) -> None:
    house = any_house
    house.hire(2)
    sources = {f"p{n}": photo(tmp_path / f"{n}.png", n) for n in range(4)} | {"r": film(tmp_path / "r.mkv", 24)}
    job_id = house.submit(sources, "- denoise: {method: temporal, radius: 1}")
    house.lead()
    stop = threading.Event()
    sent = [0]

    def forge() -> None:
        broker = CeleryBroker(house.settings)
        while not stop.is_set():
            tasks = house.tasks()
            forged = [Doorbell(task.id, epoch, task.queue) for task in reversed(tasks) for epoch in (0, 1, 2, 99)]
            forged += [Doorbell(10**9, 1, "restore"), Doorbell(-1, -1, "light")]
            broker.send(forged * 2)
            for arguments in ((), ("1", "1"), (1, 2, 3), (None, {})):
                broker.app.send_task("reelwright.attempt", args=arguments, queue="restore")
            broker.app.send_task("unknown.task", args=(1, 1), queue="light")
            sent[0] += 1
            time.sleep(0.5)

    thread = threading.Thread(target=forge)
    thread.start()
    try:
        assert house.wait_for(job_id) == "done"
    finally:
        stop.set()
        thread.join()
    assert sent[0] > 1
    assert [worker.poll() for worker in house.workers] == [None, None]
    house.assert_sound(job_id)


def test_the_database_restarts_in_the_middle(served_house: House, postgres: servers.Postgres, tmp_path: Path) -> None:
    house = served_house
    house.lead()
    house.hire(2)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 64)}, "- trap: {seconds: 0.05}")
    house.wait_running("restore")
    with kept(house):  # on a slow machine the outage outlasts the lease, and then a worker must leave
        postgres.restart(down_seconds=1.5)
        assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)
    assert len(house.framemd5(job_id)) == 64


def test_the_store_goes_away_and_comes_back(tmp_path: Path, postgres: servers.Postgres, redis: servers.Redis) -> None:
    with servers.s3() as own, served(tmp_path / "home", postgres.new_database(), redis.url(1), own.settings) as house:
        house.lead()
        house.hire(1)
        job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 32)}, "- trap: {seconds: 0.05}")
        house.wait_running("restore")
        own.kill()
        time.sleep(4)
        own.start()
        assert house.wait_for(job_id) == "done"
        assert "failed" not in {row.outcome for row in progress.attempts(house.database, job_id, "reel")}
        house.assert_sound(job_id)


def test_a_request_that_succeeded_but_looked_like_a_timeout_is_repeated_without_harm(
    tmp_path: Path, postgres: servers.Postgres, redis: servers.Redis, s3: servers.S3
) -> None:
    with forgetful_proxy(s3.port, forget_every=4) as proxy:
        through = s3.settings | {"s3_endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        with served(tmp_path / "home", postgres.new_database(), redis.url(2), through) as house:
            house.lead()
            house.hire(1)
            job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 32)}, "[]")
            assert house.wait_for(job_id) == "done"
            assert proxy.forgotten > 2
            house.assert_sound(job_id)


def test_a_poison_frame_is_found_and_replaced_everywhere(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    with kept(house):
        job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 32)}, trap(13, "kill", radius=1))
        assert house.wait_for(job_id, 240) == "done"
    digests = house.framemd5(job_id)
    assert len(digests) == 32
    assert digests[13] == digests[12]
    assert digests[13] != digests[14]
    notes = " ".join(house.result(job_id, "reel").notes)
    assert "13" in notes
    house.assert_sound(job_id)


def test_a_still_that_kills_its_worker_is_quarantined_and_the_others_finish(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    bad = parse(trap(0, "crash"), "bad")
    recipes = {f"p{n}": bad if n == 2 else None for n in range(5)}
    with kept(house):
        job_id = house.submit({name: photo(tmp_path / f"{name}.png") for name in recipes}, "[]", recipes=recipes)
        assert house.wait_for(job_id, 180) == "done_with_failures"
    states = house.item_states(job_id)
    assert states == {"p0": "done", "p1": "done", "p2": "quarantined", "p3": "done", "p4": "done"}
    (failure,) = progress.failures(house.database, job_id)
    assert failure.code == "DECODER_CRASH"
    house.assert_sound(job_id)


def test_too_little_memory_and_unknown_faults_end_in_codes_and_the_worker_lives(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    texts = {"memory": trap(3, "memory"), "fault": trap(3, "fault"), "good": "[]"}
    recipes = {name: parse(text, name) for name, text in texts.items()}
    sources = {name: film(tmp_path / f"{name}.mkv", 8) for name in texts}
    job_id = house.submit(sources, "[]", recipes=recipes)
    assert house.wait_for(job_id) == "done_with_failures"
    codes = {row.external_id: row.code for row in progress.items(house.database, job_id)}
    assert codes == {"memory": "OUT_OF_MEMORY", "fault": "TOO_MANY_ATTEMPTS", "good": None}
    assert house.workers[0].poll() is None
    house.assert_sound(job_id)


def test_two_orchestrators_share_the_work_and_one_may_fall(any_house: House, tmp_path: Path) -> None:
    house = any_house
    house.lead()
    house.lead()
    house.hire(1)
    sources = {f"p{n}": photo(tmp_path / f"{n}.png", n) for n in range(4)} | {"r": film(tmp_path / "r.mkv", 48)}
    job_id = house.submit(sources, "- trap: {seconds: 0.02}")
    house.wait_running("restore")
    house.loops[0][1].set()
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)


def test_cancel_pause_and_rerun_race_completion(any_house: House, tmp_path: Path) -> None:
    house = any_house
    house.lead()
    house.hire(2)
    sources = {f"p{n}": photo(tmp_path / f"{n}.png", n) for n in range(6)} | {"r": film(tmp_path / "r.mkv", 32)}
    job_id = house.submit(sources, "- trap: {seconds: 0.03}")
    for round_number in range(3):
        wait_until(lambda: house.tasks(job_id=job_id, state="running"), 30, "work is under way")
        ledger.pause_job(house.database, job_id)
        time.sleep(0.1 * round_number)
        ledger.resume_job(house.database, job_id)
    wait_until(lambda: house.tasks(job_id=job_id, state="running"), 30, "work is under way")
    ledger.cancel_job(house.database, job_id)
    with pytest.raises(InputError, match="cannot become paused"):
        ledger.pause_job(house.database, job_id)
    ledger.rerun(house.database, job_id, ledger.Selection())
    assert house.wait_for(job_id) == "done"
    assert set(house.item_states(job_id).values()) == {"done"}
    house.assert_sound(job_id)


def test_a_paused_job_keeps_its_finished_segments(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 48)}, "- trap: {seconds: 0.05}")
    wait_until(lambda: house.tasks(kind="restore", state="done"), 60, "one segment is done")
    ledger.pause_job(house.database, job_id)
    wait_until(lambda: not house.tasks(state="running"), 20, "running work stopped")
    done = [task.id for task in house.tasks(kind="restore", state="done")]
    ledger.resume_job(house.database, job_id)
    assert house.wait_for(job_id) == "done"
    attempts = [row for row in progress.attempts(house.database, job_id, "reel") if row.task_id in done]
    assert len(attempts) == len(done)
    house.assert_sound(job_id)


def test_work_that_stands_still_gives_up_its_lease_and_its_process(tmp_path: Path) -> None:
    with embedded(tmp_path / "home", stall_seconds=3) as house:
        flag = tmp_path / "flag"
        house.lead()
        house.hire(1)
        job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 8)}, trap(3, "wait", flag))
        wait_until(flag.with_suffix(".reached").exists, 60, "the work stands still")
        assert house.workers[0].wait(30) == 75
        flag.touch()
        house.hire(1)
        assert house.wait_for(job_id) == "done"
        house.assert_sound(job_id)


@contextmanager
def kept(house: House) -> Iterator[None]:
    """Do what a supervisor does: free a dead worker's leases at once and start another."""
    stop = threading.Event()

    def keep() -> None:
        buried: set[int] = set()
        while not stop.wait(0.1):
            for worker in list(house.workers):
                if worker.poll() is not None and worker.pid not in buried:
                    with contextlib.suppress(DatabaseUnavailable):
                        ledger.release_dead_worker(house.database, house.boots[worker.pid], forgive=False)
                        house.hire(1)
                        buried.add(worker.pid)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
