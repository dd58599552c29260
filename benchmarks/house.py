"""An installation for a benchmark: a home, its database, and the rows that a job needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from db import ledger, progress, session
from db.recipe import Recipe
from db.records import Blob, ReelFacts, Source
from db.session import Database
from db.settings import Settings
from db.states import ItemKind, JobState
from db.store import open_store
from db.tables import Attempt, Task
from orchestrator.embedded import run_job

SIZE, FRAMES = (480, 640), 512
"""Height, width and length of the film that is restored."""
FACTS = ReelFacts(
    frame_count=FRAMES, rate="24", width=SIZE[1], height=SIZE[0], depth_bits=8, pixel_format="gray", mono=True,
    bytes=1, sha256="0", index=Blob(key="none", sha256="0", bytes=0),
)  # fmt: skip
"""What a writer asks of any film, which is not its size: no tags of colour, no fields."""


@dataclass
class Installation:
    settings: Settings
    database: Database

    def submit(self, sources: list[Path], recipe: Recipe, kind: ItemKind = ItemKind.REEL) -> int:
        request = ledger.JobRequest("bench", "bench", f"{id(sources)}-{recipe.fingerprint()}"[:64], recipe)
        job = ledger.open_job(self.database, request)
        lines = [
            ledger.NewLine(seq, f"r{seq}", seq + 1, Source(uri=str(path), kind=kind))
            for seq, path in enumerate(sources)
        ]
        ledger.add_lines(self.database, job.id, lines, bundle_stills=32)
        ledger.close_ingest(self.database, job.id)
        return job.id

    def run(self, job_id: int) -> None:
        store = open_store(self.settings)
        state = run_job(self.settings, self.database, store, job_id, on_progress=lambda shown, waits_for: None)
        self.raise_failures(job_id)
        if state is not JobState.DONE:
            raise SystemExit(f"the job is {state}")

    def raise_failures(self, job_id: int) -> None:
        """End the benchmark where something of a job has failed: nothing else would come of it."""
        messages = [row.message for row in progress.failures(self.database, job_id)]
        if messages:
            raise SystemExit(f"the job failed: {messages}")

    def attempts(self, kind: str) -> list[Any]:
        """Finished attempts at tasks of a kind, oldest first."""
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(Attempt.__table__, Task.start_frame, Task.stop_frame)
                    .join(Task, Task.id == Attempt.task_id)
                    .where(Task.kind == kind, Attempt.outcome == "done")
                    .order_by(Attempt.started_at)
                )
            )


@contextmanager
def open_installation(folder: Path, **settings: Any) -> Iterator[Installation]:
    home_settings = Settings(home=folder / "home", device="cpu", **settings)
    with session.open_database(home_settings) as database:
        session.upgrade(database)
        yield Installation(home_settings, database)
