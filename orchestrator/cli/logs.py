"""Where the program's own log goes: one JSON line an event. Used by ``orchestrator.cli`` alone.

Never to standard output, which belongs to what a command says.
"""

from __future__ import annotations

import logging
from typing import TextIO


def log_to(stream: TextIO, level: str) -> None:
    """Write events of at least ``level`` to ``stream`` from now on."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
