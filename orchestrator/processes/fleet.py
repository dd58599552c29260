"""Worker processes on this machine: started, restarted when they die, ended in order."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from db import ledger
from db.errors import DatabaseUnavailable, OutageError, ReelwrightError
from db.scratch import sweep
from db.session import Database, open_database
from db.settings import Settings, make_home
from orchestrator.processes.shares import slot_count
from orchestrator.processes.spawning import SpareWorker, WorkerChild, spawn

GRACE_SECONDS = 20.0
"""How long a worker may take to reach a frame boundary when it is told to leave."""
EARLY_SECONDS = 15.0
"""A worker that dies sooner after its start died of starting."""
EARLY_DEATHS = 4
"""So many of those in a row, and starting more in that slot is pointless."""
_REFUSED = 2
"""Status of a worker that said why it cannot work: a setting, or a service that does not answer."""

log = structlog.get_logger(__name__)


@dataclass
class _Slot:
    """One worker process and its successors."""

    number: int
    child: WorkerChild
    started_at: float
    early_deaths: int = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that works in it now."""
        return self.child.process

    @property
    def boot_id(self) -> str:
        """What the records call that one."""
        return self.child.boot_id


@dataclass
class Fleet:
    """The worker processes of one machine."""

    settings: Settings
    database: Database
    log_folder: Path | None = None
    """Where their logs go; none leaves them on standard error."""
    spare: SpareWorker | None = None
    """The first worker, where one is on its way already."""
    slots: list[_Slot] = field(default_factory=list)
    """Those that have a worker, or get another."""
    begun: int = 0
    """Slots that ever had one: none that was given up begins anew."""

    def start(self, count: int | None = None) -> None:
        """Start one process a slot, or ``count`` of them at first, after what earlier ones left is gone."""
        make_home(self.settings)  # before any folder in it is made, which would be as wide as the umask lets
        sweep(self.settings.scratch_folder)
        self.grow(slot_count(self.settings) if count is None else count)

    def grow(self, count: int) -> None:
        """Have at least ``count`` processes, as far as there are slots."""
        for number in range(self.begun, min(count, slot_count(self.settings))):
            self.slots.append(_Slot(number, self._take_spare() or self._spawn(number), time.monotonic()))
            self.begun = number + 1

    def restart_dead(self) -> None:
        """Restart what died and free its leases at once; a slot whose workers die of starting is given up.

        Raises:
            ReelwrightError: No slot is left.
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
                self._give_up(slot, status)
                continue
            slot.child, slot.started_at = self._spawn(slot.number), time.monotonic()

    def _give_up(self, slot: _Slot, status: int) -> None:
        """Start no successor where one after another died of starting; the workers of other slots go on."""
        log.error("slot given up", slot=slot.number, status=status)
        self.slots.remove(slot)
        if self.slots:
            return
        message = f"Workers die right after their start (status {status}); {self._log_hint(slot)}"
        if status == _REFUSED:
            raise OutageError(message, code="WORKER_FAULT", remedy="Correct what they say there, then start again.")
        raise ReelwrightError(message)

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
                f"All workers of this machine failed at what others finished; {self._log_hint(slot)}",
                code="WORKER_FAULT",
                remedy="Look at what failed (`reelwright doctor`), mend the machine, then start its workers again.",
            )

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

    def _spawn(self, number: int) -> WorkerChild:
        return spawn(self.settings, number, self.log_folder)

    def _take_spare(self) -> WorkerChild | None:
        spare, self.spare = self.spare, None
        return spare.take() if spare else None

    def _log_hint(self, slot: _Slot) -> str:
        return f"see {self.log_folder / f'worker-{slot.number}.log'}" if self.log_folder else "see the messages above"

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
