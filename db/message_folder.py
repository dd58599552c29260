"""The embedded broker: Kombu's filesystem transport with the races taken out. Used through ``db.broker``.

Kombu's own writes a message in place, so a reader can see half of it and a torn file stops the consumer; and it keeps
a binding table in a file that two processes can spoil. Here a message appears by rename, whatever is no doorbell of
ours is set aside, and only the default exchange is used, which needs no table.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.transport.virtual import BrokerState
from kombu.utils.json import dumps

from db.doorbells import MOST_BYTES, NotADoorbell, read_payload

SCHEME = "reelwright-folder"
log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.05
"""Pause between two looks for a message: Celery gets to look at anything else after each."""
MOST_ASIDE = 100
"""So many refused messages are kept."""
PROCESSED_SECONDS = 3600.0
"""How long a claimed message file that its reader did not finish is kept for inspection."""


class Channel(filesystem.Channel):  # type: ignore[misc]
    """One process's view of the message folder."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        part = Path(self.data_folder_out) / f".{name}.part"
        try:
            part.write_text(dumps(payload), encoding="utf-8")
            part.rename(part.with_name(name))
        finally:
            part.unlink(missing_ok=True)  # half of one, on a full disk

    def _get(self, queue: str) -> Any:
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            message = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(message)
            except OSError:  # another worker was quicker
                continue
            try:
                payload = read_payload(_read_file(message))
            except (OSError, NotADoorbell) as error:
                self._set_aside(message, str(error))
                continue
            message.unlink(missing_ok=True)
            return payload
        raise Empty

    def _set_aside(self, message: Path, reason: str) -> None:
        """Keep what is no doorbell for a person to look at, but not without end; a doorbell is rung again."""
        log.warning("message refused", name=message.name[:200], reason=reason[:200])
        aside = message.parent.with_name("aside")
        with contextlib.suppress(OSError):
            aside.mkdir(exist_ok=True)
            if len(os.listdir(aside)) < MOST_ASIDE:
                message.rename(aside / message.name)
            elif message.is_dir() and not message.is_symlink():
                shutil.rmtree(message)
            else:
                message.unlink()

    def _queue_bind(self, *args: Any) -> None:
        """The default exchange needs no bindings."""

    def get_table(self, exchange: str) -> list[Any]:
        """Return no bindings: the default exchange routes by queue name."""
        return []

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)


class Transport(filesystem.Transport):  # type: ignore[misc]
    """What Kombu looks up by the URL's scheme."""

    Channel = Channel
    global_state = BrokerState()

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Look for messages once: a worker that is told to leave notices between two looks."""
        super().drain_events(connection, LOOK_SECONDS)


def _read_file(path: Path) -> bytes:
    """Read a plain file, no more of it than a message may have. Nothing else is waited for, nor a link followed.

    Raises:
        OSError: It is a link, or cannot be read.
        NotADoorbell: It is no plain file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise NotADoorbell("no plain file")
        return os.read(number, MOST_BYTES + 1)
    finally:
        os.close(number)


def prepare(folder: Path) -> dict[str, Any]:
    """Make the message folders and return the transport's options; old claimed files are removed."""
    inbox, processed = folder / "in", folder / "processed"
    for place in (inbox, processed):
        place.mkdir(parents=True, exist_ok=True)
    horizon = time.time() - PROCESSED_SECONDS
    for old in processed.iterdir():
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < horizon:
                old.unlink()
    return {
        "data_folder_in": str(inbox),
        "data_folder_out": str(inbox),
        "processed_folder": str(processed),
        "control_folder": str(folder / "control"),
        "store_processed": True,
        "polling_interval": LOOK_SECONDS,
    }


def pending(folder: Path) -> list[Path]:
    """Message files that nobody has claimed yet."""
    return sorted((folder / "in").glob("*.msg"))


# Kombu resolves the schemes of broker URLs through this table.
TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
