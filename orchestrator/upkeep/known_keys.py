"""Keys of the store that are remembered with a word each, in a temporary file: millions of them take no memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from db.errors import DiskFull


class KnownKeys:
    """Keys, and a word for each. Opened by :func:`remember_keys`."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def add(self, key: str, word: str = "") -> bool:
        """Remember a key; returns whether it is a new one. One that is known keeps its word."""
        return bool(self._file.execute("INSERT OR IGNORE INTO known VALUES (?, ?)", (key, word)).rowcount)

    def word(self, key: str) -> str | None:
        """Return a key's word; none where it is not known."""
        row = self._file.execute("SELECT word FROM known WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])


@contextmanager
def remember_keys() -> Iterator[KnownKeys]:
    """Remember keys until the block ends, where temporary files lie.

    Raises:
        DiskFull: There is no room for them.
    """
    # Without a name it is a file that nobody else sees, and that is gone with whoever has it open.
    file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        file.execute("PRAGMA journal_mode = OFF")
        file.execute("PRAGMA synchronous = OFF")
        file.execute("CREATE TABLE known (key TEXT PRIMARY KEY, word TEXT) WITHOUT ROWID")
        file.execute("BEGIN")
        yield KnownKeys(file)
    except sqlite3.OperationalError as error:
        raise DiskFull(f"There is no room for temporary files: {error}") from error
    finally:
        file.close()
