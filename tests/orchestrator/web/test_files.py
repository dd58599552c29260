"""Downloads: the right bytes of the whole or of one range, whole or not at all, under a name that misleads nobody."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from db.records import Blob
from db.store.base import Store
from orchestrator.web import files
from tests.support.refusals import refused

DATA = bytes(range(256)) * 4


@pytest.fixture
def blob(store: Store, tmp_path: Path) -> Blob:
    return stored(store, tmp_path, DATA)


def stored(store: Store, folder: Path, data: bytes) -> Blob:
    path = folder / "blob.bin"
    path.write_bytes(data)
    return store.put("job/1/x/1.bin", path)


def ask(store: Store, blob: Blob, method: str = "GET", name: str = "a.mkv", **headers: str) -> tuple[Response, bytes]:
    """An answer and all its bytes."""
    raw = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    request = Request({"type": "http", "method": method, "headers": raw, "path": "/", "query_string": b""})
    answer = files.send_blob(request, store, blob, name)
    got = bytearray()

    async def receive() -> dict[str, object]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        got.extend(message.get("body", b""))  # type: ignore[arg-type]

    async def do() -> None:
        await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)  # type: ignore[arg-type]

    anyio.run(do)
    return answer, bytes(got)


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=0-", (0, 1024)), ("bytes=10-19", (10, 20)), ("bytes=1000-5000", (1000, 1024)),
        ("bytes=-5", (1019, 1024)), ("bytes=-5000", (0, 1024)), ("bytes=1023-", (1023, 1024)), (" bytes=3-4 ", (3, 5)),
        ("bytes=0-999999999999999999", (0, 1024)),
    ],
)  # fmt: skip
def test_one_range_is_sent_and_said(store: Store, blob: Blob, asked: str, span: tuple[int, int]) -> None:
    answer, got = ask(store, blob, range=asked)
    assert answer.status_code == 206
    assert got == DATA[span[0] : span[1]]
    assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/1024"
    assert answer.headers["Content-Length"] == str(len(got))


@pytest.mark.parametrize(
    "asked",
    [
        "", "bytes=0-1,3-4", "bytes=" + ",".join(f"{number}-" for number in range(3000)), "bytes=5-4", "bytes=-",
        "lines=0-5",        "bytes=a-b", "bytes=0x1-5", "bytes=1-2-3", "bytes=\u0661-\u0662", "bytes=--5",
        "bytes=" + "9" * 400 + "-", "bytes = 0-1",
    ],
)  # fmt: skip
def test_anything_else_gets_the_whole_at_the_price_of_the_whole(store: Store, blob: Blob, asked: str) -> None:
    answer, got = ask(store, blob, range=asked)
    assert (answer.status_code, got) == (200, DATA)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(store: Store, blob: Blob, asked: str) -> None:
    answer, got = ask(store, blob, range=asked)
    assert (answer.status_code, got) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */1024"


def test_a_range_of_something_else_gets_the_whole(store: Store, blob: Blob) -> None:
    assert ask(store, blob, range="bytes=0-4", if_range=f'"{blob.sha256}"')[1] == DATA[:5]
    for other in ('"other"', f'W/"{blob.sha256}"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert ask(store, blob, range="bytes=0-4", if_range=other)[1] == DATA


def test_what_is_there_already_is_not_sent_again(store: Store, blob: Blob) -> None:
    answer, got = ask(store, blob, if_none_match=f'"{blob.sha256}"')
    assert (answer.status_code, got) == (304, b"")


def test_its_size_is_told_without_it(store: Store, blob: Blob) -> None:
    answer, got = ask(store, blob, "HEAD")
    assert (answer.status_code, got, answer.headers["Content-Length"]) == (200, b"", "1024")
    assert ask(store, blob, "HEAD", range="bytes=0-4")[0].headers["Content-Length"] == "5"


def test_an_empty_file_is_sent_and_has_no_range(tmp_path: Path, store: Store) -> None:
    empty = stored(store, tmp_path, b"")
    if store.local_path(empty.key) is not None:
        assert ask(store, empty)[1] == b""
    assert ask(store, empty, range="bytes=10-")[0].status_code == 416


def test_a_blob_that_is_gone_is_said_before_anything_is_sent(store: Store, blob: Blob) -> None:
    store.delete("job/1/")
    with refused("BLOB_MISSING"):
        ask(store, blob)


@pytest.mark.parametrize("size", [1024, 5 << 20])
def test_a_file_that_came_whole_is_right(store: Store, tmp_path: Path, size: int) -> None:
    right = stored(store, tmp_path, bytes(size))
    wrong = right.model_copy(update={"sha256": hashlib.sha256(b"x").hexdigest()})
    assert ask(store, right)[1] == bytes(size)
    with refused("CHECKSUM_MISMATCH"):
        ask(store, wrong)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a b.mkv", "a_b.mkv"), ('a";x="b.exe', "a__x__b.exe"), ("a\r\nSet-Cookie: x", "a__Set-Cookie__x"),
        ("..", "file"),
        ("日本.mkv", "mkv"), ("\u202egpj.exe", "gpj.exe"), ("\udcff.mkv", "mkv"), ("", "file"),
    ],
)  # fmt: skip
def test_a_name_is_said_plainly_and_completely(store: Store, blob: Blob, name: str, plain: str) -> None:
    said = ask(store, blob, name=name)[0].headers["Content-Disposition"]
    assert said.startswith(f"attachment; filename=\"{plain}\"; filename*=UTF-8''")
    assert said.isascii()
    assert said.isprintable()
