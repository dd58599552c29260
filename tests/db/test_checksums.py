"""The table of digest algorithms, and lists of a sequence's digests."""

from __future__ import annotations

import hashlib

import pytest

from db import checksums
from db.errors import InputError


@pytest.mark.parametrize("name", checksums.HEX_CHARS)
def test_the_table_says_what_hashlib_does(name: str) -> None:
    digest = hashlib.new(name, b"film").hexdigest()
    assert len(digest) == checksums.HEX_CHARS[name]
    assert checksums.is_digest(digest, name)
    assert not checksums.is_digest(digest.upper() + "g", name)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [("SHA-256", "sha256"), ("sha3-512", "sha3_512"), ("BLAKE2b-512", "blake2b"), ("Md5", "md5"), ("crc32", None)],
)
def test_algorithms_are_known_however_they_are_spelled(spelled: str, name: str | None) -> None:
    assert checksums.algorithm(spelled) == name


def test_a_list_comes_back_as_it_was_given() -> None:
    files = {"f 1.dpx": {"md5": "0" * 32, "sha256": "a" * 64}, "f 2.dpx": {"sha3_256": "b" * 64}, "f 3.dpx": {}}
    text = checksums.dump(files.items()).encode()
    assert checksums.load(text) == {name: digests for name, digests in files.items() if digests}


@pytest.mark.parametrize("name", ["line\nend%0A", "\\n", "caf\udce9", "\r\t\udcff\n", "%0A", "a b "])
def test_names_of_any_bytes_come_back(name: str) -> None:
    text = checksums.dump([(name, {"md5": "0" * 32})]).encode(errors="surrogateescape")
    assert checksums.load(text) == {name: {"md5": "0" * 32}}


@pytest.mark.parametrize("text", [b"md5 123 a", b"\xff\xfe", b"crc32 00000000 a", b"md5 " + b"0" * 32])
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        checksums.load(text)


def test_a_list_is_named_by_its_own_digest() -> None:
    blob = checksums.parse_listing("A".lower() * 64 + ":17")
    assert (blob.key, blob.bytes) == (f"listings/{'a' * 64}", 17)
    assert checksums.parse_listing(checksums.format_listing(blob)) == blob
    for wrong in ("", "a" * 64, "../x:1", "g" * 64 + ":1"):
        with pytest.raises(InputError):
            checksums.parse_listing(wrong)


def test_digests_in_a_row_come_back() -> None:
    digests = {"md5": "0" * 32, "sha3_256": "a" * 64}
    assert checksums.parse_digests(checksums.format_digests(digests)) == digests
    assert checksums.parse_digests("SHA-1:" + "B" * 40) == {"sha1": "b" * 40}
    for wrong in ("md5", "md5:1", "crc32:00000000"):
        with pytest.raises(InputError):
            checksums.parse_digests(wrong)
