"""The one Celery task: a doorbell is answered."""

from __future__ import annotations

from typing import Any

import structlog

from db.broker import TASK_NAME
from workers.attempt import Post, run

log = structlog.get_logger(__name__)


def register(app: Any, post: Post) -> None:
    """Make ``app`` answer doorbells with ``post``."""

    @app.task(name=TASK_NAME, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def attempt(*args: object, **kwargs: object) -> None:
        match args:
            case (int(task_id), int(epoch)) if not kwargs:
                run(post, task_id, epoch)
            case _:  # forged, or from another release: the lease would refuse it anyway
                log.warning("not a doorbell", args=repr(args)[:200])
