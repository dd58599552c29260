"""A set of 8-byte digests: what has been seen before among millions of names. Used by ``manifest.validate`` alone."""

from __future__ import annotations

from array import array

_MASK = 2**64 - 1


class Digests:
    """Texts that were seen, kept as 64-bit hashes in an open table: 16 to 32 bytes a text instead of about 100.

    Python keys its hash of texts anew in every process, so nobody can write a manifest whose names collide; by chance
    two of a million do once in forty million manifests.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._table = array("Q", bytes(8 << 10))
        self._count = 0

    def add(self, text: str) -> bool:
        """Remember ``text``; whether it is new."""
        if not self._place(hash(text) & _MASK or 1):
            return False
        self._count += 1
        if self._count * 2 > len(self._table):
            self._grow()
        return True

    def _place(self, digest: int) -> bool:
        table = self._table
        last = len(table) - 1
        slot = digest & last
        while held := table[slot]:
            if held == digest:
                return False
            slot = (slot + 1) & last
        table[slot] = digest
        return True

    def _grow(self) -> None:
        before = self._table
        self._table = array("Q", bytes(16 * len(before)))
        for digest in before:
            if digest:
                self._place(digest)
