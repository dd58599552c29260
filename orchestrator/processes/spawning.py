"""The start of a worker process. It imports little: whoever waits for a worker should not wait for this first."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from db.settings import Settings, environment, make_home
from orchestrator.processes.shares import codec_threads, device_of, worker_memory_mb


@dataclass(frozen=True)
class WorkerChild:
    """One worker process of ours."""

    process: subprocess.Popen[bytes]
    boot_id: str
    """What the records call it."""


def spawn(settings: Settings, number: int, log_folder: Path | None, *, spare: bool = False) -> WorkerChild:
    """Start a worker process.

    Args:
        settings: What it is told of the house.
        number: Its slot, from 0.
        log_folder: Where its log goes; none leaves it on standard error.
        spare: Whether it is only to load what it needs, and to wait for a line on standard input before it works.
    """
    boot_id = uuid.uuid4().hex[:12]
    sink = _open_log(number, log_folder)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", *(["spare"] if spare else [])],
            env=_variables(settings, number, boot_id),
            stdin=subprocess.PIPE if spare else subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            # Ctrl-C goes to the whole terminal; the parent alone decides when workers leave.
            start_new_session=True,
        )
    finally:
        if sink:
            sink.close()
    return WorkerChild(process, boot_id)


class SpareWorker:
    """A first worker that is on its way while nobody knows yet what to do: loading takes it seconds.

    Leaving it as a context ends it, unless somebody took it.
    """

    def __init__(self, settings: Settings, log_folder: Path) -> None:
        """Start it; its log is that of slot 0."""
        make_home(settings)  # before any folder in it is made, which would be as wide as the umask lets
        self._child: WorkerChild | None = spawn(settings, 0, log_folder, spare=True)

    def take(self) -> WorkerChild | None:
        """Let it work, from now on as the caller's; none where it was taken already, or has died."""
        child, self._child = self._child, None
        if child is None or not child.process.stdin:
            return None
        with suppress(OSError), child.process.stdin as to_child:
            to_child.write(b"work\n")
            to_child.flush()
            return child
        child.process.wait()
        return None

    def __enter__(self) -> Self:
        """Go on; it loads meanwhile."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """End it where nobody took it: it holds nothing."""
        if self._child is not None:
            self._child.process.kill()
            self._child.process.communicate()


def _variables(settings: Settings, number: int, boot_id: str) -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REELWRIGHT_")}
    variables |= environment(settings)
    variables |= {"REELWRIGHT_BOOT_ID": boot_id, "REELWRIGHT_PARENT_PID": str(os.getpid())}
    variables["REELWRIGHT_DEVICE"] = device_of(settings, number)
    variables["REELWRIGHT_CODEC_THREADS"] = str(codec_threads(settings))
    variables["REELWRIGHT_WORKER_MEMORY_MB"] = str(worker_memory_mb(settings))
    # One thread a process: two give other roundings than one, and the machine is filled by processes.
    return variables | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _open_log(number: int, folder: Path | None) -> IO[bytes] | None:
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / f"worker-{number}.log").open("ab")
    except OSError as error:  # no room for a log: the work goes on without
        import structlog  # every worker would wait for it, and hardly any needs it here

        structlog.get_logger(__name__).warning("worker without a log", slot=number, error=str(error))
        return open(os.devnull, "wb")
