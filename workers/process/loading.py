"""Loads what computes, in a thread: torch takes seconds, and probing needs none of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from db.records import Assignment, ItemResult, ItemView, TaskResult
from db.settings import Settings
from db.states import TaskKind
from workers.workbench import Workbench

ReelWork = Callable[[Assignment, Workbench], TaskResult | ItemResult]
StillWork = Callable[[ItemView, Workbench], ItemResult]


@dataclass(frozen=True)
class Equipment:
    """What a worker computes with."""

    device: str
    """The torch device."""
    signature: str
    """The compute signature."""
    versions: Mapping[str, str]
    """Releases of the libraries, torch's with its build."""
    work: Mapping[TaskKind, ReelWork]
    """A reel's tasks."""
    restore_still: StillWork


class Loading:
    """The equipment of one worker process, on its way or there."""

    def __init__(self, settings: Settings) -> None:
        """Load nothing yet."""
        self._settings = settings
        self._lock = threading.Lock()
        self._future: Future[Equipment] | None = None

    def begin(self) -> Future[Equipment]:
        """Have a thread load, unless one does already, or has; what is returned is told when it is over."""
        with self._lock:
            if self._future is None:
                self._future = ThreadPoolExecutor(1, thread_name_prefix="loading").submit(_load, self._settings)
            return self._future

    def check(self) -> None:
        """Raise what loading ended in, if it has; what :meth:`equipment` says it raises."""
        if self._future and self._future.done():
            self._future.result()

    @property
    def signature(self) -> str:
        """The compute signature; empty until it is known."""
        future = self._future
        return future.result().signature if future and future.done() and not future.exception() else ""

    def equipment(self) -> Equipment:
        """Return the equipment, once it is there, with this thread made ready to compute.

        Raises:
            InputError: The device that the settings name is not there.
            ImportError: A library cannot be loaded.
        """
        found = self.begin().result()
        from workers import device

        device.make_deterministic(found.device)  # some of it is a thread's own, and another thread has loaded
        return found


def _load(settings: Settings) -> Equipment:
    from workers import device
    from workers.tasks import by_kind
    from workers.tasks.restore_still import restore_still

    name = device.open_device(settings.device)
    device.make_deterministic(name)
    return Equipment(name, device.signature(name), device.versions(), by_kind.WORK, restore_still)
