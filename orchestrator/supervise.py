"""Worker processes on this machine: started, restarted when they die, ended in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import structlog

from db import ledger
from db.child_process import ChildProcess
from db.errors import DatabaseUnavailable, OutageError, ReelwrightError
from db.scratch import sweep
from db.session import Database, open_database
from db.settings import Settings, environment, make_home

GRACE_SECONDS = 20.0
"""How long a worker may take to reach a frame boundary when it is told to leave."""
EARLY_SECONDS = 15.0
"""A worker that dies sooner after its start died of starting."""
EARLY_DEATHS = 4
"""So many of those in a row, and starting more is pointless."""
_REFUSED = 2
"""Status of a worker that said why it cannot work: a setting, or a service that does not answer."""
ERRAND_SECONDS = 3600.0
"""How long an errand may work without a word: a network over a large picture, or a film looked through, takes long."""
_MOST_CODEC_THREADS = 16
_LEAST_SHARE = 2 * 10**9
"""Bytes."""

log = structlog.get_logger(__name__)


@dataclass
class _Slot:
    """One worker process and its successors."""

    number: int
    process: subprocess.Popen[bytes]
    boot_id: str
    started_at: float
    early_deaths: int = 0


@dataclass
class Fleet:
    """The worker processes of one machine."""

    settings: Settings
    database: Database
    log_folder: Path | None = None
    """Where their logs go; none leaves them on standard error."""
    slots: list[_Slot] = field(default_factory=list)

    def start(self, count: int | None = None) -> None:
        """Start one process a slot, or ``count`` of them at first, after what earlier ones left is gone."""
        make_home(self.settings)  # before any folder in it is made, which would be as wide as the umask lets
        sweep(self.settings.scratch_folder)
        self.grow(slot_count(self.settings) if count is None else count)

    def grow(self, count: int) -> None:
        """Have at least ``count`` processes, as far as there are slots."""
        for number in range(len(self.slots), min(count, slot_count(self.settings))):
            boot_id = uuid.uuid4().hex[:12]
            self.slots.append(_Slot(number, self._spawn(number, boot_id), boot_id, time.monotonic()))

    def restart_dead(self) -> None:
        """Restart what died and free its leases at once.

        Raises:
            ReelwrightError: Workers die again and again right after their start.
        """
        for slot in list(self.slots):
            status = slot.process.poll()
            if status is None:
                continue
            if self._is_drained(slot.boot_id):
                self._retire(slot)
                continue
            # One that held a task died of its work, however soon: the ledger answers that.
            had_task = self._release_leases(slot.boot_id, forgive=False) > 0
            early = not had_task and time.monotonic() - slot.started_at < EARLY_SECONDS
            slot.early_deaths = slot.early_deaths + 1 if early else 0
            log.warning("worker died", slot=slot.number, pid=slot.process.pid, status=status)
            sweep(self.settings.scratch_folder)
            if slot.early_deaths >= EARLY_DEATHS:
                message = f"Workers die right after their start (status {status}); {self._log_hint()}"
                if status == _REFUSED:
                    raise OutageError(
                        message, code="WORKER_FAULT", remedy="Correct what they say there, then start again."
                    )
                raise ReelwrightError(message)
            slot.boot_id = uuid.uuid4().hex[:12]
            slot.process, slot.started_at = self._spawn(slot.number, slot.boot_id), time.monotonic()

    def _is_drained(self, boot_id: str) -> bool:
        try:
            return ledger.is_drained(self.database, boot_id)
        except DatabaseUnavailable:
            return False

    def _retire(self, slot: _Slot) -> None:
        """Start no successor of a worker that failed at what others finished: it would fail too."""
        log.error("worker drained", slot=slot.number, pid=slot.process.pid, worker=slot.boot_id)
        self.slots.remove(slot)
        self._release_leases(slot.boot_id, forgive=True)
        if not self.slots:
            raise OutageError(
                f"All workers of this machine failed at what others finished; {self._log_hint()}", code="WORKER_FAULT",
                remedy="Look at what failed (`reelwright doctor`), mend the machine, then start its workers again.",
            )  # fmt: skip

    def stop(self) -> None:
        """Tell all to leave at their next frame boundary, wait, and end those that do not."""
        for slot in self.slots:
            if slot.process.poll() is None:
                slot.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + GRACE_SECONDS
        for slot in self.slots:
            with suppress(subprocess.TimeoutExpired):
                slot.process.wait(timeout=max(0.1, end - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End at once what still lives, and give back what it held: it was ended from outside."""
        for slot in self.slots:
            slot.process.kill()
            slot.process.wait()
            self._release_leases(slot.boot_id, forgive=True)
        sweep(self.settings.scratch_folder)

    def _spawn(self, number: int, boot_id: str) -> subprocess.Popen[bytes]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("REELWRIGHT_")}
        variables |= environment(self.settings)
        variables |= {"REELWRIGHT_BOOT_ID": boot_id, "REELWRIGHT_PARENT_PID": str(os.getpid())}
        variables["REELWRIGHT_DEVICE"] = _device(self.settings, number)
        variables["REELWRIGHT_CODEC_THREADS"] = str(codec_threads(self.settings))
        variables["REELWRIGHT_WORKER_MEMORY_MB"] = str(worker_memory_mb(self.settings))
        # One thread a process: two give other roundings than one, and the machine is filled by processes.
        variables |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        sink = self._log_file(number)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "workers"],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                # Ctrl-C goes to the whole terminal; the parent alone decides when workers leave.
                start_new_session=True,
            )
        finally:
            if sink:
                sink.close()

    def _log_file(self, number: int) -> IO[bytes] | None:
        if self.log_folder is None:
            return None
        try:
            self.log_folder.mkdir(parents=True, exist_ok=True)
            return (self.log_folder / f"worker-{number}.log").open("ab")
        except OSError as error:  # no room for a log: the work goes on without
            log.warning("worker without a log", slot=number, error=str(error))
            return open(os.devnull, "wb")

    def _log_hint(self) -> str:
        return f"see {self.log_folder / 'worker-0.log'}" if self.log_folder else "see the messages above"

    def _release_leases(self, boot_id: str, *, forgive: bool) -> int:
        """Take back what a dead worker held; returns how many tasks."""
        try:
            return ledger.release_dead_worker(self.database, boot_id, forgive=forgive)
        except DatabaseUnavailable as error:
            log.warning("leases left to run out", error=error.message)
            return 0


def serve_workers(settings: Settings, stop: threading.Event) -> None:
    """Keep this machine's workers running until ``stop`` is set."""
    with open_database(settings) as database:
        fleet = Fleet(settings, database)
        fleet.start()
        try:
            while not stop.wait(0.5):
                fleet.restart_dead()
        finally:
            fleet.stop()


def slot_count(settings: Settings) -> int:
    """Worker processes to run here: as set, else one a GPU, else one a core that this process may use."""
    if settings.slots:
        return settings.slots
    if settings.device in {"auto", "cuda"} and gpu_count():
        return gpu_count()
    return _core_count()


def codec_threads(settings: Settings) -> int:
    """Threads for decoding, and as many for encoding and for what is done to single frames, in each worker here.

    As set, else its share of the cores: one where each core has a worker, many where a worker has a GPU.
    """
    return settings.codec_threads or max(1, min(_MOST_CODEC_THREADS, _core_count() // slot_count(settings)))


def worker_memory_mb(settings: Settings) -> int:
    """Memory that each worker process here may take, in MB: as set, else its share of four fifths of the machine's.

    Where that is less than a network needs beside what PyTorch takes by itself, it is 2 GB: not all workers need the
    most at the same moment, and fewer ``slots`` are for a person to choose.
    """
    most = machine_memory() * 4 // 5
    return settings.worker_memory_mb or min(most, max(most // slot_count(settings), _LEAST_SHARE)) // 10**6


def machine_memory(root: Path = Path("/")) -> int:
    """Memory of this machine in bytes, or of the container, whose own limit is less (control groups 1 and 2)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _memory_limits(root):
        try:
            limits.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is none of this kind, or it says "max"
            continue
    return min(limits)


def _memory_limits(root: Path) -> Iterator[Path]:
    groups, own = root / "sys/fs/cgroup", root / "proc/self/cgroup"
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    for _, controllers, inside in (line.split(":", 2) for line in lines):
        kind, name = ("memory", "memory.limit_in_bytes") if controllers == "memory" else ("", "memory.max")
        folder = PurePosixPath(inside.lstrip("/"))
        if controllers in ("", "memory"):
            # In a container the group's own name may lead nowhere: its limit is then at the root.
            yield from (groups / kind / each / name for each in (folder, *folder.parents))


def gpu_count() -> int:
    """NVIDIA GPUs that the driver shows, found without importing torch."""
    folder = Path("/proc/driver/nvidia/gpus")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _core_count() -> int:
    """Cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _device(settings: Settings, number: int) -> str:
    if settings.device in {"auto", "cuda"} and gpu_count() > 1:
        return f"cuda:{number % gpu_count()}"
    return settings.device


def start_errand(settings: Settings, errand: str, silent_seconds: float = ERRAND_SECONDS) -> ChildProcess:
    """Start ``python -m workers ERRAND``, which reads orders and prints answers, with a worker's share of memory."""
    variables = {"REELWRIGHT_WORKER_MEMORY_MB": str(worker_memory_mb(settings))}
    variables_there = {**os.environ, **environment(settings), **variables}
    return ChildProcess(["-m", "workers", errand], environment=variables_there, silent_seconds=silent_seconds)


class WorkerProcess:
    """A worker process that does order by order; the first starts it, and one after an order that killed it anew."""

    def __init__(self, settings: Settings, errand: str, silent_seconds: float = ERRAND_SECONDS) -> None:
        """Take what the worker is told of the house, an errand that is asked line by line, and its time for a line."""
        self._settings, self._errand, self._silent_seconds = settings, errand, silent_seconds
        self._child: ChildProcess | None = None

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to an order, which may be an error's code and message.

        Raises:
            ChildDied: The order killed the process.
        """
        if self._child is not None and not self._child.alive:
            self._child.wait()
            self._child = None
        self._child = self._child or start_errand(self._settings, self._errand, self._silent_seconds)
        return self._child.ask(order)

    def interrupt(self) -> None:
        """Make the process end now; who waits for its answer meets ``ChildDied``."""
        if self._child is not None:
            self._child.interrupt()

    def __enter__(self) -> WorkerProcess:
        """Start nothing yet."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """Let the process end, or make it drop what it is at when an exception passes."""
        if self._child is not None:
            self._child.__exit__(*exception)
