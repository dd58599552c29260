"""A process's own log: one JSON line an event. Whatever becomes of a line, writing it never stops the work.

Every process of ours sets its log up here: commands, the loop, workers, and the children that they ask.
"""

from __future__ import annotations

import logging
from typing import TextIO

import structlog


class SteadyStream:
    """A stream that raises nothing: a full disk or a terminal that is gone costs lines, and their number is told."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream`` for as long as it takes anything."""
        self._stream = stream
        self._failures = 0

    def write(self, text: str) -> int:
        """Write ``text`` if that is possible; returns its length either way."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # full, gone or closed; another encoding
            self._failures += 1
        return len(text)

    def flush(self) -> None:
        """Let go of what is written. The first that succeeds again says that something is missing."""
        try:
            self._stream.flush()
            if self._failures:
                self._stream.write(f'{{"event": "log lines missing", "failures": {self._failures}}}\n')
                self._stream.flush()
                self._failures = 0
        except (OSError, ValueError):
            self._failures += 1


def log_to(stream: TextIO, level: str, *, libraries: bool = False) -> None:
    """Write events of at least ``level`` to ``stream`` from now on; ``libraries``: what Celery logs too."""
    steady = SteadyStream(stream)
    if libraries:
        logging.basicConfig(level=level, format="%(message)s", stream=steady, force=True)
        logging.raiseExceptions = False
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(steady),  # type: ignore[arg-type]
    )
