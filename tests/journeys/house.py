"""A whole house for journeys: real workers, a real loop, real servers, and the invariants that must hold after all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from sqlalchemy import func, select

from db import ledger, progress, session
from db.broker import CeleryBroker
from db.errors import InputError
from db.recipe import Recipe, parse
from db.records import Blob, Source
from db.session import Database
from db.settings import Settings, environment
from db.states import ITEM_OVER, JOB_OVER, TASK_LIVE, ItemKind, ItemState
from db.store import open_store
from db.store.base import Store
from db.tables import Item, Result, Task
from orchestrator import weight_pins
from orchestrator.loop import Loop, serve
from tests.support.forked import ForkedWorker
from tests.support.recount import recount
from tests.support.servers import wait_until

SIZE = (48, 64)
"""Height and width of the pictures that journeys restore."""

AnyWorker = ForkedWorker | subprocess.Popen[bytes]


@dataclass
class House:
    """One installation with its workers and its loop."""

    settings: Settings
    database: Database
    store: Store
    workers: list[AnyWorker] = field(default_factory=list)
    boots: dict[int, str] = field(default_factory=dict)
    loops: list[tuple[threading.Thread, threading.Event]] = field(default_factory=list)

    # -- people ---------------------------------------------------------------------------------------------------

    def hire(self, count: int = 1, *, forked: bool = True) -> None:
        """Start workers, ``forked`` or by the command, and wait until they are ready for all work."""
        for _ in range(count):
            self.start_worker(forked=forked)
        alive = {self.boots[worker.pid] for worker in self.workers if worker.poll() is None}

        def equipped() -> set[str]:
            return {row.boot_id for row in progress.workers(self.database) if row.signature}

        wait_until(lambda: alive <= equipped(), 60, "workers are ready")

    def start_worker(self, *, forked: bool = True) -> AnyWorker:
        """Start a worker, and do not wait for it."""
        boot_id = uuid.uuid4().hex[:12]
        variables = os.environ | environment(self.settings) | {"REELWRIGHT_BOOT_ID": boot_id}
        log = self.settings.home / f"{boot_id}.log"
        worker = ForkedWorker(variables, log) if forked else _worker_of_its_own(variables, log)
        self.workers.append(worker)
        self.boots[worker.pid] = boot_id
        return worker

    def lead(self) -> None:
        """Start an orchestrator."""
        stop = threading.Event()
        thread = threading.Thread(target=self._serve, args=(stop,), daemon=True)
        thread.start()
        self.loops.append((thread, stop))

    def _serve(self, stop: threading.Event) -> None:
        with session.open_database(self.settings) as database:
            serve(self.settings, database, stop=stop)

    def kill(self, worker: AnyWorker) -> None:
        worker.kill()
        worker.wait()

    def freeze(self, worker: AnyWorker) -> None:
        """Stop a worker while it writes nothing: with SQLite's one lock in its hands it would stop everybody."""
        with self.database.write():
            worker.send_signal(signal.SIGSTOP)
            stat = Path(f"/proc/{worker.pid}/stat")
            wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 10, "the worker stands still")

    def close(self) -> None:
        for _, stop in self.loops:
            stop.set()
        for thread, _ in self.loops:
            thread.join(20)
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.database.engine.dispose()

    # -- work -----------------------------------------------------------------------------------------------------

    def submit(
        self, sources: dict[str, Source], recipe: Recipe | str, *, recipes: Mapping[str, Recipe | None] | None = None
    ) -> int:
        """Submit sources by id, some with recipes of their own; returns the job."""
        own = recipes or {}
        made = parse(recipe, "journey") if isinstance(recipe, str) else recipe
        made = weight_pins.pin_weights(made, weight_pins.available_weights(made, self.database))
        request = ledger.JobRequest("journey", "test", uuid.uuid4().hex * 2, made)
        job = ledger.open_job(self.database, request)
        lines = [
            ledger.NewLine(seq, name, seq + 1, source, recipe=own.get(name))
            for seq, (name, source) in enumerate(sources.items())
        ]
        ledger.add_lines(self.database, job.id, lines, bundle_stills=self.settings.bundle_stills)
        ledger.close_ingest(self.database, job.id)
        return job.id

    def wait_for(self, job_id: int, seconds: float = 120) -> str:
        """Wait until a job is over; returns its state."""
        wait_until(lambda: progress.job(self.database, job_id).state in JOB_OVER, seconds, f"job {job_id} is over")
        return str(progress.job(self.database, job_id).state)

    def wait_running(self, kind: str, seconds: float = 60) -> Any:
        """Wait until a task of a kind runs; returns its row."""
        wait_until(lambda: self.tasks(kind=kind, state="running"), seconds, f"a {kind} task runs")
        return self.tasks(kind=kind, state="running")[0]

    def worker_of(self, task: Any) -> AnyWorker:
        """The process that holds a task."""
        return next(worker for worker in self.workers if self.boots[worker.pid] == task.worker)

    def tasks(self, **which: Any) -> list[Any]:
        wanted = select(Task.__table__).order_by(Task.id)
        for name, value in which.items():
            wanted = wanted.where(getattr(Task, name) == value)
        with self.database.read() as connection:
            return list(connection.execute(wanted))

    def item_states(self, job_id: int) -> dict[str, str]:
        return {row.external_id: str(row.state) for row in progress.items(self.database, job_id)}

    # -- what must hold -------------------------------------------------------------------------------------------

    def assert_sound(self, job_id: int) -> None:
        """Every item has exactly one accepted result, every pointer resolves and hashes, counters equal a recount."""
        assert [task.id for task in self.tasks(job_id=job_id) if task.state in TASK_LIVE] == []
        for row, result in progress.results(self.database, job_id):
            assert row.state in ITEM_OVER
            if row.state is ItemState.DONE:
                assert result is not None
                assert result.generation == row.generation
                for blob in result.outputs.values():
                    assert hashlib.sha256(self.bytes_of(blob)).hexdigest() == blob.sha256
                    assert self.store.size(blob.key) == blob.bytes
        with self.database.read() as connection:
            doubles = connection.execute(
                select(Result.item_id, Result.generation)
                .group_by(Result.item_id, Result.generation)
                .having(func.count() > 1)
            ).all()
            accepted = connection.execute(
                select(Task.attempt, Result.attempt, Task.state)
                .join(Result, Result.task_id == Task.id)
                .join(Item, Item.id == Result.item_id)
                .where(Task.kind == "assemble")
            ).all()
        assert doubles == []
        assert all(task_attempt == result_attempt for task_attempt, result_attempt, _ in accepted)
        ledger.fold_counters(self.database)
        shown = progress.progress(self.database, job_id)
        counted = recount(self.database, job_id)
        assert {name: getattr(shown, name) for name in counted} == counted

    def bytes_of(self, blob: Blob) -> bytes:
        return self.store.read(blob)

    def result(self, job_id: int, name: str) -> progress.ResultRow:
        for row, result in progress.results(self.database, job_id, external_ids=(name,)):
            assert result is not None, f"{row.code}: {row.message}"
            return result
        raise AssertionError(f"no item {name}")

    def framemd5(self, job_id: int, name: str = "reel") -> list[str]:
        """Digests of a master's decoded frames, made here and not taken from the report."""
        path = self.settings.home / f"{uuid.uuid4().hex}.mkv"
        path.write_bytes(self.bytes_of(self.result(job_id, name).outputs["master"]))
        with av.open(str(path)) as film:
            return [_md5(frame) for frame in film.decode(video=0)]


def _worker_of_its_own(variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "workers"], env=variables | {"REELWRIGHT_PARENT_PID": str(os.getpid())},
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def _md5(frame: av.VideoFrame) -> str:
    """Digest of a decoded frame's samples; 8-bit RGB, which FFV1 keeps as BGR0, is unpacked for it."""
    known = frame.reformat(format="rgb24") if frame.format.name == "bgr0" else frame
    return hashlib.md5(known.to_ndarray().tobytes()).hexdigest()


@contextmanager
def embedded(home: Path, **settings: Any) -> Iterator[House]:
    """SQLite, a folder, and message files."""
    with _opened(_settings(home, **settings)) as house:
        yield house


def restored_in(
    home: Path,
    source: Source,
    recipe: str,
    *,
    segment_frames: int,
    workers: int,
    dies: Path | None = None,
) -> list[str]:
    """Restore one reel in an embedded house of its own; returns the digests of its master's frames.

    Args:
        home: Where the house stands, perhaps with weights that are registered in it.
        source: The reel.
        recipe: What is done to it.
        segment_frames: How it is cut.
        workers: How many there are at first.
        dies: Appears when the recipe's trap has killed a worker; another is hired then.
    """
    with embedded(home, segment_frames=segment_frames) as house:
        house.lead()
        # Texts hash otherwise in every process that was not forked: no result may depend on it.
        house.hire(workers, forked=workers > 1)
        job_id = house.submit({"reel": source}, recipe)
        if dies is not None:
            wait_until(dies.exists, 60, "a worker dies in the middle of a segment")
            house.hire(1)
        assert house.wait_for(job_id) == "done"
        died = any(worker.poll() == -signal.SIGKILL for worker in house.workers)
        assert died == (dies is not None)
        house.assert_sound(job_id)
        return house.framemd5(job_id)


@contextmanager
def served(home: Path, database_url: str, broker_url: str, s3: dict[str, str], **settings: Any) -> Iterator[House]:
    """PostgreSQL, Redis and S3."""
    bucket = f"journey-{uuid.uuid4().hex[:8]}"
    more = {"database_url": database_url, "broker_url": broker_url, "store_uri": f"s3://{bucket}/archive", **s3}
    with _opened(_settings(home, **more, **settings)) as house:
        yield house


def _settings(home: Path, **settings: Any) -> Settings:
    quick = {
        "lease_seconds": 4, "heartbeat_seconds": 0.5, "requeue_seconds": 3, "leader_seconds": 3, "stall_seconds": 60,
        "segment_frames": 16, "batch_frames": 8, "device": "cpu", "backoff_seconds": 0.5, "tick_seconds": 0.1,
    }  # fmt: skip
    return Settings(home=home, **(quick | settings))


@contextmanager
def _opened(settings: Settings) -> Iterator[House]:
    settings.home.mkdir(parents=True, exist_ok=True)
    database = session.open_database(settings)
    session.upgrade(database)
    house = House(settings, database, open_store(settings))
    try:
        yield house
    finally:
        house.close()


def quiet_loop(house: House) -> Loop:
    """A loop that is driven by hand."""
    return Loop(house.database, CeleryBroker(house.settings), house.store, house.settings)


def swallow_doorbells(house: House) -> int:
    """Lose every message that is on its way, as a worker does that dies between taking one and its lease."""
    broker = CeleryBroker(house.settings)
    lost = 0
    with broker.app.connection_for_read() as connection:
        channel = connection.channel()
        for queue in {task.queue for task in house.tasks(state="queued")}:
            lost += channel.queue_purge(queue) or 0
    return lost


def film(path: Path, frame_count: int = 40, seed: int = 1, *, dirty: bool = False) -> Source:
    """A grey film with a moving picture, grain and flicker, perhaps specks and a scratch; lossless."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=18)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "gray"
        for number in range(frame_count):
            wave = 110 + 60 * np.sin((columns + 2 * number) / 7) * np.cos(rows / 9) + 6 * np.sin(number * 2.1)
            noisy = np.clip(wave + rng.normal(0, 5, SIZE), 0, 255).astype(np.uint8)
            if dirty:
                noisy[:, 50], noisy[number % 40 : number % 40 + 4, number % 35 : number % 35 + 5] = 250, 0
            for packet in stream.encode(av.VideoFrame.from_ndarray(noisy, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return Source(uri=str(path), kind=ItemKind.REEL)


def photo(path: Path, seed: int = 1) -> Source:
    """A small grey photo."""
    noise = np.random.default_rng(seed).integers(0, 255, SIZE, dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return Source(uri=str(path), kind=ItemKind.STILL)


__all__ = [
    "House", "InputError", "embedded", "film", "photo", "quiet_loop", "restored_in", "served", "swallow_doorbells",
]  # fmt: skip
