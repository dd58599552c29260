"""Where the log of a command goes. Never to standard output, which belongs to what the command says."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import structlog

from db.logs import log_to
from db.settings import Settings


@contextmanager
def log_to_home(settings: Settings) -> Iterator[None]:
    """Append events to ``run.log`` of the home while a command works jobs off; then events go where they went before.

    Args:
        settings: Where that is, and the least level.
    """
    log = _open_log(settings)
    try:
        with _log_meanwhile(log, settings.log_level):
            yield
    finally:
        with suppress(OSError):  # what it holds back does not fit on a full disk
            log.close()


@contextmanager
def log_to_nobody(settings: Settings) -> Iterator[None]:
    """Keep events to ourselves while a command works that leaves nothing behind; at DEBUG, standard error has them."""
    is_wanted = settings.log_level == logging.getLevelName(logging.DEBUG)
    with _log_meanwhile(sys.stderr, settings.log_level if is_wanted else logging.getLevelName(logging.CRITICAL)):
        yield


@contextmanager
def _log_meanwhile(stream: TextIO, level: str) -> Iterator[None]:
    before = structlog.get_config()
    log_to(stream, level)
    try:
        yield
    finally:
        structlog.configure(**before)


def _open_log(settings: Settings) -> TextIO:
    """Open the log; where there is no room for one, work goes on without."""
    try:
        settings.logs.mkdir(parents=True, exist_ok=True)
        return (settings.logs / "run.log").open("a", encoding="utf-8")
    except OSError:
        return open(os.devnull, "w", encoding="utf-8")
