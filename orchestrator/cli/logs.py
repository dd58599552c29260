"""Where the program's own log goes: one JSON line an event.

Never to standard output, which belongs to what a command says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

from db.settings import Settings


def log_to(stream: TextIO, level: str) -> None:
    """Write events of at least ``level`` to ``stream`` from now on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )


@contextmanager
def log_to_home(settings: Settings) -> Iterator[None]:
    """Append events to ``run.log`` of the home while a command works jobs off; then events go where they went before.

    Args:
        settings: Where that is, and the least level.
    """
    before = structlog.get_config()
    settings.logs.mkdir(parents=True, exist_ok=True)
    with (settings.logs / "run.log").open("a", encoding="utf-8") as log:
        log_to(log, settings.log_level)
        try:
            yield
        finally:
            structlog.configure(**before)
