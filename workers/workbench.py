"""What an attempt hands to the work: store, scratch folder, device, and the place to say that work moved on.

The rooms that do the work (probe, inspect, merge, restore, read back, assemble) take a ``Workbench`` and an assignment
and know nothing of leases, messages or tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from db.records import Blob
from db.settings import Settings
from db.store.base import Store
from db.store.keys import check


def _ignore_progress(frames: int) -> None:
    """Stand-in for work outside a queue: nobody listens."""


@dataclass(frozen=True)
class Workbench:
    """One attempt's tools."""

    store: Store
    scratch: Path
    """An empty folder that is removed after the attempt, whatever happens."""
    settings: Settings
    key_prefix: str
    """Where this attempt's blobs go."""
    device: str = "cpu"
    """A torch device name."""
    mode: int = 0o444
    """Permission bits of this attempt's blobs, where the store has any: no wider than the source's."""
    report: Callable[[int], None] = field(default=_ignore_progress)
    """Behind :meth:`advance`: set by the attempt."""

    def advance(self, frames: int = 0) -> None:
        """Say that work moved on, by ``frames`` written frames or (0) by a tile, a megabyte, a loaded model.

        Call it at every frame boundary, from any thread.

        Raises:
            StopWork: The attempt must end now; let it pass through.
        """
        self.report(frames)

    def put(self, name: str, path: Path) -> Blob:
        """Store a file as this attempt's blob ``name``."""
        return self.store.put(check(f"{self.key_prefix}/{name}"), path, moved=self._on_bytes, mode=self.mode)

    def put_bytes(self, name: str, data: bytes) -> Blob:
        """Store bytes as this attempt's blob ``name``."""
        return self.store.put_bytes(check(f"{self.key_prefix}/{name}"), data, mode=self.mode)

    def fetch(self, blob: Blob, *, check: bool = True) -> Path:
        """Return a file with the blob's bytes, to be read only: the store's own where it is a folder, else a copy.

        ``check`` compares the digest; without it the caller checks what it reads in a way of its own.

        Raises:
            InputError: ``BLOB_MISSING`` or ``CHECKSUM_MISMATCH``.
        """
        store_path = self.store.local_path(blob.key)
        if store_path is not None:
            if check:
                self.store.check(blob, moved=self._on_bytes)
            return store_path
        copy_path = self.scratch / f"{blob.sha256[:16]}-{blob.name}"
        if not copy_path.exists():
            self.store.get(blob, copy_path, moved=self._on_bytes)
        return copy_path

    def _on_bytes(self, count: int) -> None:
        self.advance()
