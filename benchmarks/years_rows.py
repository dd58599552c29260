"""Rows and files that years of work leave behind, written as workers leave them but without anybody's work."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text, update

from benchmarks.house import Installation
from db import ledger
from db.recipe import Recipe, parse
from db.records import Blob, ItemResult, ReelFacts, Source, TaskResult
from db.states import ItemKind
from db.tables import Attempt, CounterDelta, Item, ItemScore, Job, JobProgress, Result, Task, Worker

BUNDLE, SEGMENTS = 20, 16
REEL_EACH, AGAIN_EACH, VAIN_EACH, DELTA_EACH = 100, 10, 20, 10
"""One item in so many is a reel, was restored twice, has an attempt that died, has a counter that nobody folded."""
OVER_AT = 1e9
_AT_ONCE = 1000
_CONTENT = b"a restored picture"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


@dataclass(frozen=True)
class Amount:
    """How much there is of what is written."""

    items: int
    files: bool
    """Whether blobs lie in the store; else rows alone tell of them."""
    job_items: int = 1000
    """Items of each job but one, which has half of all."""


def fill(installation: Installation, amount: Amount) -> int:
    """Fill an empty installation; returns how many rows it has now."""
    large = amount.items // 2
    sizes = [large, *(amount.job_items for _ in range(large // amount.job_items))]
    writer = Writer(installation, parse("[deflicker]", "years"), amount.files)
    for number, size in enumerate(sizes, 1):
        writer.add_job(number, size)
    with installation.database.write() as connection:
        connection.execute(text("ANALYZE"))
    return writer.rows


class Writer:
    """Collects rows, and writes a thousand items' together."""

    def __init__(self, installation: Installation, recipe: Recipe, files: bool) -> None:
        self._installation, self._recipe, self._files = installation, recipe, files
        self._waiting: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        self._last = dict[Any, int]()
        self.rows = 0
        worker = {"boot_id": "w", "host": "h", "pid": 1, "device": "cpu", "signature": "s", "versions_json": "{}"}
        self._add(Worker, **worker, state="left", started_at=OVER_AT, heartbeat_at=OVER_AT)

    def add_job(self, number: int, size: int) -> None:
        request = ledger.JobRequest(f"job {number}", "years", f"{number:064}", self._recipe)
        job_id = ledger.open_job(self._installation.database, request).id
        for seq in range(size):
            self._add_item(job_id, seq)
            if seq % _AT_ONCE == 0:
                self.flush()
        self.flush()
        self._end_job(job_id, size)

    def flush(self) -> None:
        with self._installation.database.write() as connection:
            for table in (
                Worker,
                Item,
                Result,
                ItemScore,
                Task,
                Attempt,
                CounterDelta,
            ):  # what is pointed to comes first
                if rows := self._waiting.pop(table, None):
                    connection.execute(insert(table), rows)
                    self.rows += len(rows)

    def _add(self, table: Any, **values: Any) -> None:
        self._waiting[table].append(values)

    def _number(self, table: Any) -> int:
        self._last[table] = self._last.get(table, 0) + 1
        return self._last[table]

    def _add_item(self, job_id: int, seq: int) -> None:
        item_id, is_reel = self._number(Item), seq % REEL_EACH == REEL_EACH - 1
        generations = 2 if seq % AGAIN_EACH == 0 else 1
        kind = ItemKind.REEL if is_reel else ItemKind.STILL
        task_id = self._bundle(job_id, seq)
        for generation in range(1, generations + 1):
            if is_reel:
                task_id = self._add_reel_tasks(job_id, item_id, generation)
            self._add_result(job_id, item_id, generation, task_id)
        facts = self._facts(job_id, item_id) if is_reel else None
        uri = f"/archive/box-{job_id}/picture-{seq:07}"
        self._add(
            Item, id=item_id, job_id=job_id, seq=seq, external_id=f"picture-{seq:07}", kind=kind.value, uri=uri,
            source_json=Source(uri=uri, kind=kind).model_dump_json(), recipe_json=None, extra_json="{}", state="done",
            generation=generations, task_id=None if is_reel else task_id, facts_json=facts, frames_total=1,
            frames_done=1,
        )  # fmt: skip
        self._add(ItemScore, item_id=item_id, metric="luma_psnr", job_id=job_id, value=30 + seq % 100 / 10)
        if seq % DELTA_EACH == 0:
            self._add(CounterDelta, job_id=job_id, frames_done=0)

    def _bundle(self, job_id: int, seq: int) -> int:
        if seq % BUNDLE:
            return self._last[Task]
        return self._add_task(job_id, None, "restore", 1, None, vain=seq % (BUNDLE * VAIN_EACH) == 0)

    def _add_reel_tasks(self, job_id: int, item_id: int, generation: int) -> int:
        index = self._blob(job_id, item_id, generation, "index.json")
        self._add_task(job_id, item_id, "probe", generation, TaskResult(outputs={"index": index}))
        for segment in range(SEGMENTS):
            chunk = self._blob(job_id, item_id, generation, f"{segment}/chunk.mkv", kept=False)
            result = TaskResult(outputs={"chunk": chunk}, frames=64)
            self._add_task(job_id, item_id, "restore", generation, result, vain=segment == 0)
        return self._add_task(job_id, item_id, "assemble", generation, None)

    def _add_task(
        self, job_id: int, item_id: int | None, kind: str, generation: int, result: TaskResult | None,
        *, vain: bool = False,
    ) -> int:  # fmt: skip
        task_id = self._number(Task)
        self._add(
            Task, id=task_id, job_id=job_id, item_id=item_id, kind=kind, generation=generation, queue="light",
            state="done", attempt=1 + vain, result_json=result.model_dump_json() if result else None,
        )  # fmt: skip
        for attempt in range(1, 2 + vain):
            outcome = "lost" if vain and attempt == 1 else "done"
            times = {"started_at": OVER_AT, "ended_at": OVER_AT}
            self._add(Attempt, task_id=task_id, attempt=attempt, worker="w", outcome=outcome, **times)
        return task_id

    def _add_result(self, job_id: int, item_id: int, generation: int, task_id: int) -> None:
        still = self._blob(job_id, item_id, generation, "still.png")
        if item_id % VAIN_EACH == 0:
            self._blob(job_id, item_id, generation, "died.png")
        result = ItemResult(
            outputs={"still": still}, facts={"bytes": 4711, "sha256": _SHA256}, notes=("Its colours were kept.",),
            scores={"luma_psnr": 40.0, "luma_ssim": 0.9, "flicker": 0.1, "jitter": 0.2, "grain": 0.3, "sharpness": 9.0},
        )  # fmt: skip
        values = {"task_id": task_id, "attempt": 1, "accepted_at": OVER_AT}
        self._add(Result, item_id=item_id, generation=generation, result_json=result.model_dump_json(), **values)

    def _facts(self, job_id: int, item_id: int) -> str:
        mezzanine = self._blob(job_id, item_id, 1, "mezzanine.mkv")
        index = Blob(key=_key(job_id, item_id, 1, "index.json"), sha256=_SHA256, bytes=len(_CONTENT))
        return ReelFacts(
            frame_count=1024, rate="24", width=640, height=480, depth_bits=8, pixel_format="gray", mono=True, bytes=1,
            sha256=_SHA256, index=index, mezzanine=mezzanine,
        ).model_dump_json()  # fmt: skip

    def _blob(self, job_id: int, item_id: int, generation: int, name: str, *, kept: bool = True) -> Blob:
        key = _key(job_id, item_id, generation, name)
        if kept and self._files:
            path = Path(self._installation.settings.store) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_CONTENT)
        return Blob(key=key, sha256=_SHA256, bytes=len(_CONTENT))

    def _end_job(self, job_id: int, size: int) -> None:
        counted = {"items_done": size, "frames_done": size, "frames_total": size}
        with self._installation.database.write() as connection:
            values = {"state": "done", "finished_at": OVER_AT}
            connection.execute(update(Job).where(Job.id == job_id).values(values))
            connection.execute(update(JobProgress).where(JobProgress.job_id == job_id).values(counted))


def _key(job_id: int, item_id: int, generation: int, name: str) -> str:
    return f"jobs/{job_id}/items/{item_id}/g{generation}/restore/t{item_id}-a1-w/{name}"
