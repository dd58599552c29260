"""The store's contract, which the local folder and S3 both keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from db.records import Blob

Moved = Callable[[int], None]
"""Called with the number of bytes that just moved, so that a long transfer counts as movement."""


class Store(Protocol):
    """Object storage. A key is written once by one attempt and never changed.

    Every method raises ``StoreUnavailable`` when the storage does not answer (after its own short retries) and
    ``TransientError`` when it refuses.
    """

    uri: str
    """Where it is, for people."""

    def put(self, key: str, path: Path, *, moved: Moved | None = None, mode: int = 0o444) -> Blob:
        """Store the file at ``path``; readers see all of it or nothing. Returns key, sha256 and size.

        ``mode`` says who may read it where that is a matter of files; the process's umask narrows it further.
        """
        ...

    def put_bytes(self, key: str, data: bytes, *, mode: int = 0o444) -> Blob:
        """Store ``data``, as :meth:`put` does."""
        ...

    def get(self, blob: Blob, path: Path, *, moved: Moved | None = None) -> None:
        """Fetch a blob into ``path`` and check its digest.

        Raises:
            InputError: ``BLOB_MISSING``, or ``CHECKSUM_MISMATCH`` when the bytes are not what the record says.
        """
        ...

    def read(self, blob: Blob) -> bytes:
        """Fetch a small blob into memory and check its digest; raises as :meth:`get`."""
        ...

    def stream(self, blob: Blob, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield a blob's bytes ``[start, stop)`` piece by piece; its digest is not compared.

        Raises:
            InputError: ``BLOB_MISSING``, when the first piece is asked for.
        """
        ...

    def check(self, blob: Blob, *, moved: Moved | None = None) -> None:
        """Read a blob through and compare its digest; raises as :meth:`get`."""
        ...

    def size(self, key: str) -> int | None:
        """Size in bytes, or none when there is no such key."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with ``prefix``, in any order."""
        ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys that begin with ``prefix``, in any order, with their sizes in bytes."""
        ...

    def delete(self, prefix: str) -> int:
        """Remove every key under the folder ``prefix`` (which ends with ``/``); returns how many."""
        ...

    def remove(self, key: str) -> None:
        """Remove one key; that it is not there is no error."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file that holds the blob, where the store is a folder; else none."""
        ...
