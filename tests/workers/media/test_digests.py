from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from workers.media import digests

PARTS = [b"one", bytes(70_000), b"", memoryview(b"three")]
WHOLE = b"".join(map(bytes, PARTS))
OF_THIS_RELEASE = blake3(WHOLE).digest(16)
OF_EARLIER_ONES = hashlib.blake2b(WHOLE, digest_size=16).digest()


def test_a_digest_is_of_all_parts_in_order() -> None:
    assert digests.digest(PARTS) == OF_THIS_RELEASE
    assert len(OF_THIS_RELEASE) == digests.DIGEST_BYTES


@pytest.mark.parametrize("expected", [OF_THIS_RELEASE, OF_EARLIER_ONES])
def test_what_any_release_wrote_down_is_recognized(expected: bytes) -> None:
    assert digests.matches(PARTS, expected)
    assert not digests.matches(PARTS[:-1], expected)
    assert not digests.matches([*PARTS[:-1], b"thref"], expected)


def test_no_other_digest_is() -> None:
    assert not digests.matches(PARTS, hashlib.sha256(WHOLE).digest()[:16])
