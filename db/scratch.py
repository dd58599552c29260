"""Folders for files in work. The process that holds one has it locked, so that what a dead one left can be told apart.

A kernel lets go of a lock however its process ends. The host is in the name as well: scratch may be shared, and not
every shared disk tells one machine of the locks of another.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def scratch_folder(place: Path, label: str) -> Iterator[Path]:
    """Give an empty folder that is removed at the end, whatever happens; ``label`` tells people whose it is."""
    place.mkdir(parents=True, exist_ok=True)
    with _open_folder(place) as sweepers:
        _lock(sweepers, fcntl.LOCK_SH)  # nobody sweeps until the new folder is locked
        folder = Path(mkdtemp(prefix=f"{_host()}.{label}-", dir=place))
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _lock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def sweep(place: Path) -> int:
    """Remove what dead processes of this host left; returns how many folders. Where disks know no locks, none is."""
    if not place.is_dir():
        return 0
    with _open_folder(place) as sweepers:
        if not _lock(sweepers, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return 0
        return sum(_remove_if_dead(folder) for folder in place.glob(f"{_host()}.*-*"))


def _remove_if_dead(folder: Path) -> bool:
    with suppress(OSError), _open_folder(folder) as number:
        if _lock(number, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder, ignore_errors=True)
            return True
    return False


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def _lock(number: int, how: int) -> bool:
    """Lock a folder; returns whether that succeeded, which it does not on a disk without locks."""
    try:
        fcntl.flock(number, how)
    except OSError:
        return False
    return True


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:40]
