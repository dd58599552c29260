"""Answers the doorbells of looks: a picture for a page whose own machine cannot show it.

A child process does it, since a look holds no lease that would end a worker at which a hostile source nags; it is kept
for the next look, and let go before other work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from db import ledger
from db import settings as settings_module
from db.child_process import ChildDied, ChildProcess
from db.errors import CODES, ReelwrightError, os_error
from db.scratch import scratch_folder

if TYPE_CHECKING:
    from workers.process.attempt import WorkerContext

SILENT_SECONDS = 30.0
"""A look that takes longer is given up: half of what its lease lasts."""

log = structlog.get_logger(__name__)


class LookDesk:
    """Shows one picture after the other."""

    def __init__(self, context: WorkerContext) -> None:
        """Start nothing yet."""
        self._context, self._open = context, ExitStack()
        self._child: ChildProcess | None = None
        self._folder = Path()

    def show(self, look_id: int, epoch: int) -> None:
        """Answer one doorbell. A stale, duplicated or forged one changes nothing."""
        database, boot_id = self._context.database, self._context.boot_id
        if self._context.heartbeat.leaving:
            return
        try:
            order = ledger.take_look(database, look_id, epoch, boot_id)
            if order is not None and not ledger.answer_look(database, look_id, boot_id, self._answer(look_id, order)):
                log.info("look refused", look=look_id)
                self._context.store.delete(ledger.look_prefix(look_id))
        except ReelwrightError as error:
            log.warning("look dropped", look=look_id, error=error.message)  # whoever waits for it gives it up

    def close(self) -> None:
        """Let the child go at once, with all that it holds."""
        if self._child is not None:
            self._child.interrupt()
            self._child = None
        self._open.close()

    def _answer(self, look_id: int, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the child says, with the picture's blob; or the error that it ends in."""
        try:
            answer = self._ask(order)
            return answer if "code" in answer else self._store(look_id, answer)
        except ChildDied as death:
            self.close()
            return {"code": death.code, "message": f"The picture was not made: {death}",
                    "remedy": CODES[death.code].remedy}  # fmt: skip
        except OSError as error:
            named = os_error("The picture", error)
        except ReelwrightError as error:
            named = error
        return {"code": named.code, "message": named.message, "remedy": named.remedy}

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        if self._child is None:
            settings = self._context.settings
            folder = scratch_folder(settings.scratch_folder, f"{self._context.boot_id}-looks")
            self._folder = self._open.enter_context(folder)
            environment = {**os.environ, **settings_module.environment(settings)}
            child = ChildProcess(["-m", "workers", "look"], environment=environment, silent_seconds=SILENT_SECONDS)
            self._child = self._open.enter_context(child)
        return self._child.ask({**order, "folder": str(self._folder)})

    def _store(self, look_id: int, answer: Mapping[str, Any]) -> dict[str, Any]:
        path = Path(answer["file"])
        blob = self._context.store.put(f"{ledger.look_prefix(look_id)}/{path.name}", path, mode=0o400)
        path.unlink()
        return {**answer, "file": "", "blob": blob.model_dump(mode="json")}
