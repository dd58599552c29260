"""How many frames a second pass through dispatch, lease and completion when the work itself costs nothing.

Real message files, real worker processes, the real loop; only the restoration of a segment is replaced by nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from benchmarks.house import Installation, open_installation
from benchmarks.rows import ResultRow, at_least
from db import progress
from db.broker import CeleryBroker
from db.recipe import parse
from db.records import Blob, ReelFacts, TaskResult
from db.settings import environment
from db.states import TaskKind
from db.store import open_store
from orchestrator.loop import BUSY_SECONDS, Loop

TASKS, FRAMES, WORKERS = 600, 64, 2


def run(folder: Path) -> list[ResultRow]:
    with open_installation(folder, slots=WORKERS, segment_frames=FRAMES) as installation:
        workers = [start_worker(installation) for _ in range(WORKERS)]
        try:
            while len(progress.workers(installation.database)) < WORKERS:
                time.sleep(0.1)
            seconds = burn_down(installation)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    rate = TASKS * FRAMES / seconds
    detail = f"{TASKS / seconds:.0f} tasks/s, {WORKERS} workers"
    return [at_least(f"dispatcher, no-op tasks of {FRAMES} frames", rate, 2000, " frames/s", detail)]


def start_worker(installation: Installation) -> subprocess.Popen[bytes]:
    variables = os.environ | environment(installation.settings)
    variables |= {"REELWRIGHT_BOOT_ID": uuid.uuid4().hex[:12], "REELWRIGHT_PARENT_PID": str(os.getpid())}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "benchmarks.dispatch"], env=variables, stdout=quiet, stderr=quiet)


def burn_down(installation: Installation) -> float:
    """Dispatch one reel of many segments; returns the seconds from the first lease to the last completion."""
    job_id = installation.submit([film_path(installation)], parse("[]", "nothing"))
    loop = Loop(
        installation.database,
        CeleryBroker(installation.settings),
        open_store(installation.settings),
        installation.settings,
    )
    while len(installation.attempts("restore")) < TASKS:
        for _ in range(20):
            time.sleep(BUSY_SECONDS if loop.tick() else installation.settings.tick_seconds)
        installation.raise_failures(job_id)
    attempts = installation.attempts("restore")
    return max(row.ended_at for row in attempts) - attempts[0].started_at


def film_path(installation: Installation) -> Path:
    return installation.settings.home / "film"


def run_idle_worker() -> None:
    """Be a worker for which a probe knows the reel and a segment costs nothing."""
    from db import settings
    from workers.process import app
    from workers.tasks import by_kind, probe

    blob = Blob(key="jobs/nothing", sha256="0" * 64, bytes=0)
    facts = ReelFacts(
        frame_count=TASKS * FRAMES, rate="24", width=16, height=16, depth_bits=8, pixel_format="gray", mono=True,
        bytes=0, sha256="0" * 64, index=blob,
    )  # fmt: skip

    probe.probe = lambda assignment, bench: TaskResult(facts=facts)
    by_kind.WORK = dict.fromkeys(TaskKind, lambda assignment, bench: TaskResult(outputs={"chunk": blob}, frames=FRAMES))
    app.serve(settings.load())


if __name__ == "__main__":
    run_idle_worker()
