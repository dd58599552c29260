"""The heartbeat of one worker process, and the end of a process that can no longer vouch for its lease.

A thread of its own renews the lease while work moves on. Work says so through :meth:`Heartbeat.advance`, which is
also where it learns that it must stop. Decoding, OpenCV and torch let other threads run, so the thread is not starved.

The thread itself is watched: if it ends, the process ends; if it hangs, or cannot run at all, the interpreter's own
timer ends the process, which needs neither Python nor its lock. The supervisor starts another.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from db import ledger
from db.errors import DatabaseUnavailable, LeaseLost, WorkCancelled, WorkerLeaving
from db.session import BUSY_TIMEOUT_SECONDS, Database
from db.settings import Settings

EXIT_FENCED = 75
"""Exit status of a worker that ended itself because its lease ran out or its work stood still."""
EXIT_PULSELESS = 76
"""Exit status of a worker whose heartbeat ended. One whose heartbeat hangs leaves with 1, and all stacks in its log."""
RETRY_SECONDS = 1.0
PATIENCE_SECONDS = 2 * BUSY_TIMEOUT_SECONDS
"""How long beyond a lease's length a heartbeat may hang: it may wait for a busy database twice."""

log = structlog.get_logger(__name__)


@dataclass
class _ActiveLease:
    """The lease in hand and what is known of its work."""

    lease: ledger.Lease
    ends: float
    """By this process's monotonic clock, counted from before the request: earlier than the database's own end."""
    moved_at: float
    frames_done: int = 0
    stop: Exception | None = None


@dataclass
class Heartbeat:
    """Heartbeats for one worker process."""

    database: Database
    settings: Settings
    boot_id: str
    leave_process: Callable[[int], None] = os._exit
    """How a process ends that may not write any more; replaced in tests."""
    ask_to_end: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    """How a process ends in order; replaced in tests."""
    patience_seconds: float = PATIENCE_SECONDS
    leaving: bool = False
    """Whether this worker shuts down: no new lease is taken."""
    _active: _ActiveLease | None = None
    _wake: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False

    def start(self) -> None:
        """Begin to beat, in a daemon thread."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """Beat no more."""
        self._over = True
        self._wake.set()
        faulthandler.cancel_dump_traceback_later()

    def begin_shutdown(self) -> None:
        """Make the work in hand stop at its next frame boundary: this worker shuts down."""
        self.leaving = True
        with self._lock:
            if self._active:
                self._active.stop = WorkerLeaving()

    @contextmanager
    def hold(self, lease: ledger.Lease, asked_at: float) -> Iterator[None]:
        """Renew ``lease`` while the block runs; ``asked_at`` is the monotonic time just before it was asked for."""
        now = time.monotonic()
        active = _ActiveLease(lease, ends=asked_at + self.settings.lease_seconds, moved_at=now)
        active.stop = WorkerLeaving() if self.leaving else None
        with self._lock:
            self._active = active
        try:
            yield
        finally:
            with self._lock:
                self._active = None

    def advance(self, frames: int) -> None:
        """Note that work moved on; see ``Workbench.moved``.

        Raises:
            StopWork: The work must stop now.
        """
        active = self._active
        if active is None:
            return
        active.moved_at = time.monotonic()
        active.frames_done += frames
        if active.stop is not None:
            raise active.stop

    def _run(self) -> None:
        pause = 0.0
        try:
            while not self._over:
                self._watch(pause)
                self._wake.wait(self._until_next(pause))
                self._wake.clear()
                if not self._over:
                    pause = self._beat()
        finally:
            if not self._over:
                self.leave_process(EXIT_PULSELESS)

    def _watch(self, pause: float) -> None:
        """Let the interpreter end this process unless the next beat comes in time."""
        seconds = pause + self.settings.lease_seconds + self.patience_seconds
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)

    def _until_next(self, pause: float) -> float:
        active = self._active
        # Never sleep past the lease's end: that is when the process must be gone.
        return pause if active is None else min(pause, max(0.0, active.ends - time.monotonic()))

    def _beat(self) -> float:
        with self._lock:
            active = self._active
        asked_at = time.monotonic()
        if active is not None:
            self._exit_if_expired(active, asked_at)
        try:
            self._renew(active, asked_at)
        except DatabaseUnavailable as error:
            log.warning("heartbeat failed", error=error.message)
            return RETRY_SECONDS
        except Exception:  # whatever it is: without its beat, this process would outlive its lease
            log.exception("heartbeat failed")
            return RETRY_SECONDS
        return self.settings.heartbeat_seconds * random.uniform(0.9, 1.1)

    def _renew(self, active: _ActiveLease | None, asked_at: float) -> None:
        seconds = self.settings.lease_seconds
        lease, frames = (active.lease, active.frames_done) if active else (None, 0)
        renewal = ledger.heartbeat(self.database, self.boot_id, lease, frames, seconds)
        if renewal is not None and renewal.drained and not self.leaving:
            log.error("leaving", reason="drained: others finished what failed here")
            self.begin_shutdown()
            self.ask_to_end()
        if active is None or renewal is None:
            return
        if not renewal.held:
            active.stop = active.stop or LeaseLost("the lease is gone")
        else:
            active.ends = asked_at + seconds
            if renewal.stop:
                active.stop = active.stop or WorkCancelled()

    def _exit_if_expired(self, active: _ActiveLease, now: float) -> None:
        stalled = now - active.moved_at > self.settings.stall_seconds
        # Still the same lease? The work may have ended between the look and now.
        if (now >= active.ends or stalled) and self._active is active:
            log.error("leaving", reason="stalled" if stalled else "lease ran out", task=active.lease.task_id)
            self.leave_process(EXIT_FENCED)
