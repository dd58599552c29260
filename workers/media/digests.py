"""Digests of frames and of packets, by which what is read is known to be what was read before.

Every frame of a reel is hashed when it is surveyed and each time that it is read. So it is BLAKE3, the fastest digest
that nobody can forge. Earlier releases took BLAKE2b of as many bytes; what they wrote down goes on to hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from blake3 import blake3

DIGEST_BYTES = 16

Buffer = Any
"""Bytes, or anything that holds them in one piece."""


def digest(parts: Sequence[Buffer]) -> bytes:
    """Return the digest of parts that follow one another."""
    return bytes(_fed(blake3(), parts).digest(DIGEST_BYTES))


def matches(parts: Sequence[Buffer], expected: bytes) -> bool:
    """Whether a digest, of this or an earlier release, is of these parts."""
    return digest(parts) == expected or _earlier_digest(parts) == expected


def _earlier_digest(parts: Sequence[Buffer]) -> bytes:
    return bytes(_fed(hashlib.blake2b(digest_size=DIGEST_BYTES), parts).digest())


def _fed(hasher: Any, parts: Sequence[Buffer]) -> Any:
    for part in parts:
        hasher.update(part)
    return hasher
