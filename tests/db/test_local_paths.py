"""Paths of any bytes as text, and back."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from db.errors import InputError
from db.local_paths import disk_path, encode, readable, spell

ODD = [
    b"caf\xe9.jpg", b"tab\there.jpg", b"line\nend\r.jpg", b"\x1b[31m.jpg", b"100%\xff.jpg", b"%FF\xff.jpg",
    b"\x7f\xc2\x85", b"..\xc0\xaf..\xc0\xafpasswd", b"\x83\x5c\x8e\xa9 #1?.tif", "schön\n".encode(),
    bytes({*range(1, 256)} - {0x2F}),
]  # fmt: skip


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_any_bytes_come_back_as_they_were_and_are_read_by_other_programs_too(name: bytes) -> None:
    path = os.fsdecode(b"/archive/" + name)
    spelled = spell(path)
    assert spelled.isascii()
    assert spelled.isprintable()
    assert os.fsencode(disk_path(spelled)) == b"/archive/" + name
    assert spelled == Path(path).as_uri()
    assert unquote_to_bytes(urlsplit(spelled).path) == b"/archive/" + name
    assert spell(spelled) == spelled
    assert readable(path).isprintable()


@pytest.mark.parametrize(
    "path", ["/a/100%.jpg", "/a/b%20c.jpg", "/a/%FF", "/a/schön こ.jpg", "/a/file:/b", "/a/\u202eb"]
)
def test_a_path_that_is_text_is_nothing_but_itself(path: str) -> None:
    assert spell(path) == disk_path(path) == readable(path) == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b%20c", "/a/b c"), ("file:///a/b c", "/a/b c"), ("file://localhost/a", "/a"),
        ("file:///%252e", "/%2e"), ("file:///a/%c3%b6", "/a/ö"), ("file:///a/ö%FF", "/a/ö\udcff"),
        ("file:///a%2Fb", "/a/b"),
    ],
)  # fmt: skip
def test_a_url_is_decoded_once(url: str, path: str) -> None:
    assert disk_path(url) == path


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file://host/a", "BAD_VALUE"), ("file://", "BAD_VALUE"), ("file://a", "BAD_VALUE"),
        ("file:///a%", "BAD_VALUE"), ("file:///a%f", "BAD_VALUE"), ("file:///a%zz", "BAD_VALUE"),
        ("file:///a?b", "BAD_VALUE"), ("file:///a#b", "BAD_VALUE"),
        ("file:///a%00b", "PATH_UNSAFE"), ("file:///a\0b", "PATH_UNSAFE"),
        ("file:///a\ud800", "PATH_UNSAFE"),
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_file_here_is_refused(url: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        disk_path(url)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_file_can_be_called_is_not_spelled(text: str) -> None:
    with pytest.raises(InputError) as caught:
        encode(text)
    assert caught.value.code == "PATH_UNSAFE"
