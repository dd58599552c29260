"""Who may read a result: nobody who may not read the source."""

from __future__ import annotations

import os
from functools import lru_cache

from db.local_paths import FILE, disk_path
from db.records import Source

_READERS = 0o444


def source_mode(source: Source) -> int:
    """Return the permission bits of what is made of a source: those for reading that all of its files have.

    The owner may always read; S3 has no such bits, and takes nothing away.
    """
    mode = _READERS
    for uri in (source.uri, source.sound, source.mask):
        if uri.startswith(("/", FILE)):
            mode &= _path_mode(disk_path(uri))
    return mode | 0o400


def _path_mode(path: str) -> int:
    try:
        status = os.stat(path)
    except OSError:  # whoever reads it says so
        return 0o400
    return _frames_mode(path, status.st_mtime_ns) & status.st_mode if os.path.isdir(path) else status.st_mode


@lru_cache(maxsize=64)
def _frames_mode(folder: str, _changed_at: int) -> int:
    """Return the bits that all files of a folder have. Every segment of a sequence asks: a folder is looked at once."""
    mode = _READERS
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                mode &= entry.stat().st_mode
    return mode
