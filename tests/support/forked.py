"""Workers that need not import PyTorch each: they are forked from a process that did, once for all tests of a run.

They are whole processes, to be stopped and killed; ``python -m workers`` leads to the same function.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
# Nothing of this begins a thread, which a fork would not take along.
_LOADED = (
    "workers.__main__", "workers.process.app", "workers.tasks.by_kind", "celery.apps.worker", "celery.worker",
    "boto3", "psycopg", "redis", "kombu.transport.redis", "spandrel",
)  # fmt: skip
_FORKS.set_forkserver_preload([*_LOADED])


class ForkedWorker:
    """One worker, with as much of what ``subprocess.Popen`` has as tests ask for."""

    def __init__(self, variables: dict[str, str], log: Path) -> None:
        self._process = _FORKS.Process(target=_work, args=(variables, log))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"worker {self.pid} does not end"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _work(variables: dict[str, str], log: Path) -> None:
    """Work as ``python -m workers`` does with these variables; it ends with the process that it was forked from."""
    os.setsid()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(variables, REELWRIGHT_PARENT_PID=str(os.getppid()))
    sys.argv = ["workers"]
    from workers.__main__ import main

    sys.exit(main())
