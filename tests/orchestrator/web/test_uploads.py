"""Files that people send: whole or not at all, under plain names, away from everything else, and not for ever."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from starlette.types import ASGIApp

from db.errors import InputError
from db.ledger import access
from db.session import Database
from db.settings import Settings
from db.states import Role
from orchestrator.web import uploads
from orchestrator.web.site import Site
from orchestrator.web.uploads import Upload, Uploads
from tests.orchestrator.web.conftest import Live
from tests.support.refusals import refused
from tests.support.servers import wait_until
from tests.support.visitor import Visitor


@pytest.fixture
def kept(settings: Settings) -> Uploads:
    return Uploads(settings)


def take(
    kept: Uploads, data: bytes | list[bytes], name: str = "a.jpg", kind: str = "photo", length: int | None = None
) -> Upload:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in [data] if isinstance(data, bytes) else data:
            yield chunk

    async def do() -> Upload:
        return await kept.take(name, kind, chunks(), length)

    return anyio.run(do)


def left(settings: Settings) -> list[str]:
    return sorted(str(path.relative_to(settings.home / "uploads")) for path in (settings.home / "uploads").rglob("*"))


def test_what_is_sent_lies_there_as_it_was(kept: Uploads, settings: Settings) -> None:
    upload = take(kept, [b"ab", b"", b"c"], "Ä b.jpg", length=3)
    assert kept.path(upload.id).read_bytes() == b"abc"
    assert upload == Upload(upload.id, "Ä b.jpg", 3, hashlib.sha256(b"abc").hexdigest())
    assert left(settings) == [upload.id, f"{upload.id}/Ä b.jpg"]
    folder = kept.path(upload.id).parent
    assert [path.stat().st_mode & 0o077 for path in (folder, folder.parent)] == [0, 0]


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".used", ".part", ".order-1", ".htaccess", "a/b", "/etc/passwd", "..\\x", "a\\b",
        "a\0b", "a\nb", "a\x1bb",
        "a\u202egpj.exe", "a\u200bb", "\ud800", "x" * 201, "ä" * 101, "a\x7f",
    ],
)  # fmt: skip
def test_a_name_that_is_not_plain_is_refused_before_anything_is_written(
    kept: Uploads, settings: Settings, name: str
) -> None:
    with refused("PATH_UNSAFE"):
        take(kept, b"x", name)
    assert not (settings.home / "uploads").exists()


@pytest.mark.parametrize(
    ("data", "length", "code"),
    [(b"", 0, "ZERO_BYTE"), (b"", None, "ZERO_BYTE"), (b"ab", 3, "TRUNCATED"), (b"abcd", 3, "TRUNCATED"),
     (b"x" * 11, None, "BODY_TOO_LARGE"), (b"x", 11, "BODY_TOO_LARGE"), ([b"x" * 6, b"x" * 6], 10, "BODY_TOO_LARGE")],
)  # fmt: skip
def test_what_is_not_what_was_announced_is_refused_and_gone(
    kept: Uploads, settings: Settings, monkeypatch: pytest.MonkeyPatch, data: bytes, length: int | None, code: str
) -> None:
    monkeypatch.setitem(uploads.MOST_BYTES, "photo", 10)
    with refused(code):
        take(kept, data, length=length)
    assert left(settings) == []


def test_where_there_is_no_room_nothing_begins(
    kept: Uploads, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9 + 5))
    with refused("NO_SPACE"):
        take(kept, b"x" * 6, length=6)
    take(kept, b"x" * 5, length=5)


def test_a_disk_that_is_full_leaves_nothing(operator: Visitor, settings: Settings) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        page = operator.ask("PUT", "/api/v1/uploads/a.jpg?kind=photo", content=b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert page.status >= 400
    assert str(settings.home) not in page.text
    assert left(settings) == []


def test_a_ninth_file_at_once_is_one_too_many(kept: Uploads, settings: Settings) -> None:
    async def do() -> list[str]:
        go_on = anyio.Event()
        codes = []

        async def slow() -> AsyncIterator[bytes]:
            yield b"x"
            await go_on.wait()

        async def send() -> None:
            try:
                await kept.take("a.jpg", "photo", slow(), None)
            except InputError as error:
                codes.append(error.code)
                go_on.set()

        async with anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(send)
        return codes

    assert anyio.run(do) == ["TOO_MANY_REQUESTS"]
    assert take(kept, b"x").bytes == 1  # the places are free again


@pytest.mark.parametrize(
    "upload_id", ["", "..", "../..", "/etc", "x" * 32, "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", "\0"]
)
def test_an_id_is_an_id_and_no_path(kept: Uploads, upload_id: str) -> None:
    take(kept, b"x")
    with refused("UNKNOWN_UPLOAD"):
        kept.path(upload_id)


def age(kept: Uploads, upload_id: str) -> Path:
    folder = kept.path(upload_id).parent
    os.utime(folder, (1, 1))
    return folder


def test_what_nobody_uses_goes_after_a_day_and_nothing_else(kept: Uploads, settings: Settings) -> None:
    old, used, ordered, fresh = (take(kept, b"x").id for _ in range(4))
    kept.keep(used)
    kept.note_order(ordered, "1", "{}")
    folders = [age(kept, each) for each in (old, used, ordered)]
    (settings.home / "uploads" / "other").mkdir()
    os.utime(settings.home / "uploads" / "other", (1, 1))
    sheet = settings.home / "uploads" / "sheet-0123456789abcdef"
    sheet.mkdir()
    os.utime(sheet, (1, 1))
    kept.sweep()
    assert [folder.exists() for folder in folders] == [False, True, True]
    assert kept.path(fresh).exists()
    assert (settings.home / "uploads" / "other").exists()
    assert not sheet.exists()


def test_a_used_file_stays_and_another_may_be_removed(operator: Visitor, site: Site) -> None:
    used, unused = (take(site.uploads, b"x").id for _ in range(2))
    site.uploads.keep(used)
    assert operator.ask("DELETE", f"/api/v1/uploads/{used}").status == 409
    assert operator.ask("DELETE", f"/api/v1/uploads/{unused}").status == 200
    assert operator.get(f"/api/v1/uploads/{unused}").status == 404
    assert json.loads(operator.get(f"/api/v1/uploads/{used}").text)["bytes"] == 1


@pytest.mark.parametrize(
    "name", ["..%2f..%2fx", "%2e%2e", "..%5cx", "a%00b", "%2fetc%2fpasswd", "%252e%252e", ".used", "a%0ab"]
)
def test_no_encoding_of_a_name_leads_out(operator: Visitor, settings: Settings, name: str) -> None:
    page = operator.ask("PUT", f"/api/v1/uploads/{name}?kind=photo", content=b"x")
    if page.status == 201:
        assert name == "%252e%252e"  # which is the plain name `%2e%2e`
        assert len(left(settings)) == 2
    else:
        assert page.status in {404, 405, 422}
        assert not (settings.home / "uploads").exists() or left(settings) == []


def test_who_goes_in_the_middle_leaves_nothing(live: Live, settings: Settings, home_database: Database) -> None:
    token = access.add_token(home_database, "ada", Role.OPERATOR)
    start = f"PUT /api/v1/uploads/a.jpg?kind=photo HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {token}\r\n"
    for announced in ("Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"):
        live.ask(f"{start}{announced}abc", half_closed=True)
        wait_until(lambda: left(settings) == [], 10, "what came is gone")


def test_only_a_known_kind_is_taken(app: ASGIApp, operator: Visitor) -> None:
    for query in ("", "?kind=", "?kind=exe", "?kind=photo&kind=exe"):
        assert operator.ask("PUT", f"/api/v1/uploads/a.jpg{query}", content=b"x").status == 422


def test_a_large_file_is_never_held_in_memory(kept: Uploads) -> None:
    chunk = bytes(1 << 20)

    def measure() -> int:
        tracemalloc.start()
        try:
            take(kept, [chunk] * 100)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert measure() < 20 << 20
