"""The loop that moves everything: reap, plan, dispatch, fold, finish, sweep. Every round is idempotent.

One leader at a time runs it, by a term in the database; standby replicas wait. Two that both believe they lead do no
harm: every step is a guarded transaction.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from db import ledger
from db.broker import Broker, CeleryBroker
from db.errors import BrokerUnavailable, InputError, OutageError, ReelwrightError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from orchestrator import plan

BUSY_SECONDS = 0.02
"""Pause between rounds while doorbells are being rung: short tasks would otherwise wait for the next round."""
UPKEEP_SECONDS = 1.0
"""Pause between rounds of the steps that nobody waits for."""
CLOCK_SLACK_SECONDS = 1.0
"""A clock that is set this little, or drifts, has gone back nowhere."""
MASS_LEASES = 8
"""So many leases that end together, and a third of all, after the database was down, are nobody's death."""

log = structlog.get_logger(__name__)


@dataclass
class Loop:
    """What the rounds remember between one another; nothing that a restart could not do without."""

    database: Database
    broker: Broker
    store: Store
    settings: Settings
    alone: bool = False
    """Whether nobody else may lead here: this process holds the home's lock."""
    on_upkeep: Callable[[], None] = lambda: None
    """Called every few seconds while this process leads; it must not take long."""
    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    leading: bool = False
    led_until: float = 0.0
    outage_at: float = float("-inf")
    upkeep_at: float = float("-inf")
    clock_offset: float = float("inf")
    """The database's clock less our own monotonic one, in seconds, at the last upkeep."""
    away: str = ""
    """Code of the service that did not answer in the last round."""
    waits_for: str = ""
    """What the last round could not do without, for people; empty when nothing stood in its way."""

    def tick(self) -> bool:
        """Do one round; returns whether something moved, so that the next should come soon.

        A service that is away ends the round; the next one tries again.
        """
        try:
            if not self._renew_term():
                self._log_outage("STANDBY", "another orchestrator leads; its term is waited for")
                return False
            if time.monotonic() - self.upkeep_at > UPKEEP_SECONDS:
                self.upkeep_at = time.monotonic()
                self._maintain()
            plan_count = self._plan_reels()
            bell_count = self._send_doorbells(self._dispatch())
            delta_count = ledger.fold_counters(self.database)
            # Jobs end by their counters, so there is nothing to end where no counter moved.
            job_count = ledger.finish_jobs(self.database) if delta_count else 0
            self._log_outage("")
            return bool(plan_count or bell_count or job_count)
        except BrokerUnavailable as error:
            self._log_outage(error.code, error.message)
        except OutageError as error:
            self.leading = False
            self.outage_at = time.monotonic()
            self._log_outage(error.code, error.message)
        return False

    def _dispatch(self) -> list[ledger.Doorbell]:
        return ledger.dispatch(self.database, self.settings.lease_seconds, self.settings.tenants)

    def _log_outage(self, code: str, message: str = "") -> None:
        """Note what is waited for, and log when that begins and ends: once, not every round."""
        self.waits_for = message
        if code != self.away:
            self.away = code
            log.warning("service away", code=code, error=message) if code else log.info("services back")

    def resign(self) -> None:
        """Let a standby take over at once."""
        if self.leading:
            self.leading = False
            ledger.resign(self.database, self.holder)

    def close_up(self) -> None:
        """Count what was done and let a standby take over; during an outage the next who leads does both."""
        try:
            ledger.fold_counters(self.database)
            ledger.finish_jobs(self.database)
            self.resign()
        except OutageError as error:
            log.warning("term left to run out", code=error.code, error=error.message)

    def _renew_term(self) -> bool:
        now = time.monotonic()
        # The term is renewed at a third of its length: a round that takes a while does not lose it.
        if not self.leading or now > self.led_until - 2 * self.settings.leader_seconds / 3:
            self.leading = ledger.lead(self.database, self.holder, self.settings.leader_seconds, alone=self.alone)
            self.led_until = now + self.settings.leader_seconds
        return self.leading

    def _maintain(self) -> None:
        self._check_clock()
        self._reap()
        self._send_doorbells(
            ledger.ring_again(self.database, self.settings.requeue_seconds, self.settings.lease_seconds)
        )
        ledger.finish_jobs(self.database)
        reel_count = ledger.replan_stranded(self.database, self.settings.signature_wait_seconds)
        if reel_count:
            log.warning("planned again for other workers", reels=reel_count)
        self._pause_failing()
        self._drain_failing()
        ledger.forget_looks(self.database)
        self._sweep()
        self.on_upkeep()

    def _drain_failing(self) -> None:
        for worker in ledger.drain_failing(self.database):
            log.error("worker drained", worker=worker.boot_id, host=worker.host, device=worker.device, code=worker.code)

    def _check_clock(self) -> None:
        """Trust no time from the future, when this process has not looked yet and when the clock went back."""
        offset = ledger.clock(self.database) - time.monotonic()
        if offset < self.clock_offset - CLOCK_SLACK_SECONDS:
            longest_pause = self.settings.backoff_seconds * 2**self.settings.max_attempts
            count = ledger.disbelieve_future(self.database, self.settings.lease_seconds, longest_pause)
            if count:
                log.warning("clock went back", times=count)
        self.clock_offset = offset

    def _reap(self) -> None:
        running_count, overdue_count = ledger.running_tasks(self.database)
        if not overdue_count:
            return
        outage_seconds = time.monotonic() - self.outage_at
        if (
            overdue_count >= MASS_LEASES
            and overdue_count * 3 >= running_count
            and outage_seconds < 2 * self.settings.lease_seconds
        ):
            log.warning("leases held", expired=overdue_count, reason="the database was away")
            ledger.hold_leases(self.database, self.settings.lease_seconds)
            self.outage_at = float("-inf")  # once: those that are really dead end with the next period
            return
        log.info("leases reaped", count=ledger.reap(self.database))

    def _plan_reels(self) -> int:
        views = ledger.due_reels(self.database, refuse=self._fail_reel)
        kinds = ledger.worker_kinds(self.database, self.settings.lease_seconds) if views else ()
        return sum(self._plan_reel(view, kinds) for view in views)

    def _plan_reel(self, view: ledger.ReelView, kinds: Sequence[ledger.WorkerKind]) -> bool:
        try:
            next_plan = plan.next_tasks(view, self.settings, plan.choose_signature(kinds, view.item.recipe))
        except Exception as error:  # whatever a row holds costs its own reel, and not the loop
            message = f"The row of item {view.item.id} cannot be planned by: {type(error).__name__}: {error}"
            self._fail_reel(view.item.id, InputError(message[:500], code="RECORD_UNREADABLE"))
            return False
        return next_plan is not None and ledger.add_tasks(self.database, view, next_plan)

    def _fail_reel(self, item_id: int, error: InputError) -> None:
        log.error("reel cannot be planned", item=item_id, error=error.message)
        ledger.fail_reel(self.database, item_id, ledger.Failure(error.code, error.message, error.remedy))

    def _send_doorbells(self, bells: list[ledger.Doorbell]) -> int:
        if bells:
            self.broker.send(bells)
        return len(bells)

    def _pause_failing(self) -> None:
        share, least = self.settings.failure_threshold, self.settings.failure_threshold_items
        for job_id, failed, finished in ledger.over_threshold(self.database, share, least):
            reason = f"{failed} of {finished} items failed, more than the share of {share:g} that is allowed"
            log.warning("job paused", job=job_id, reason=reason)
            with suppress(InputError):  # somebody paused or ended it since the look
                ledger.pause_job(self.database, job_id, reason=reason)

    def _sweep(self) -> None:
        due = ledger.due_sweeps(self.database)
        for _, prefix in due:
            try:
                self.store.delete(prefix)
            except OutageError:
                raise
            except ReelwrightError as error:  # what cannot be removed only costs room
                log.warning("not swept", prefix=prefix, error=error.message)
        if due:
            ledger.forget_sweeps(self.database, [sweep_id for sweep_id, _ in due])


def serve(
    settings: Settings, database: Database, *, stop: threading.Event, on_upkeep: Callable[[], None] = lambda: None
) -> None:
    """Run the loop until ``stop`` is set, through any outage; see :class:`Loop` for ``on_upkeep``."""
    loop = Loop(database, CeleryBroker(settings), open_store(settings), settings, on_upkeep=on_upkeep)
    log.info("orchestrator ready", holder=loop.holder)
    while not stop.is_set():
        busy = loop.tick()
        stop.wait(BUSY_SECONDS if busy else settings.tick_seconds)
    loop.close_up()
