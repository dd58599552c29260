"""Streams of progress: one question for all who look, a bound for each, and nothing left when they go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from db import ledger
from db.errors import DatabaseUnavailable, InputError
from db.ledger import access
from db.session import Database
from db.states import Role
from orchestrator.web import events
from orchestrator.web.events import Streams
from tests.orchestrator.web.conftest import Live
from tests.support.refusals import refused

Follow = AsyncIterator[tuple[str, Any]]


class Source:
    """What is followed: a number, and how often somebody asked for it."""

    def __init__(self) -> None:
        self.value, self.asked = 0, 0
        self.fault: Exception | None = None

    def read(self) -> dict[str, int]:
        self.asked += 1
        if self.fault:
            raise self.fault
        return {"value": self.value}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(events, "QUIET_SECONDS", 0.2)


def in_a_loop(test: Callable[[Streams, Source], Awaitable[None]]) -> None:
    async def do() -> None:
        with anyio.fail_after(20):
            await test(Streams(), Source())
        await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(do())


async def close(*streams: Follow) -> None:
    for each in streams:
        await each.aclose()  # type: ignore[attr-defined]


def test_many_who_look_ask_once() -> None:
    async def test(streams: Streams, source: Source) -> None:
        many = [streams.follow(f"who{number}", "x", source.read) for number in range(50)]
        firsts = await asyncio.gather(*(anext(each) for each in many))
        assert {each[1]["value"] for each in firsts} == {0}
        assert source.asked < 10
        source.value = 7
        seconds = await asyncio.gather(*(anext(each) for each in many))
        assert {each[1]["value"] for each in seconds} == {7}
        assert len({each[0] for each in firsts} | {each[0] for each in seconds}) == 2
        await close(*many)

    in_a_loop(test)


def test_when_nobody_looks_nobody_asks() -> None:
    async def test(streams: Streams, source: Source) -> None:
        follow = streams.follow("ada", "x", source.read)
        await anext(follow)
        await close(follow)
        await asyncio.sleep(0.05)
        before = source.asked
        await asyncio.sleep(0.1)
        assert source.asked == before
        assert streams._subjects == {}
        assert not streams._held

    in_a_loop(test)


def test_what_was_seen_is_not_told_again_and_what_was_missed_is() -> None:
    async def test(streams: Streams, source: Source) -> None:
        follow = streams.follow("ada", "x", source.read)
        number, _ = await anext(follow)
        await close(follow)
        again = streams.follow("ada", "x", source.read, number)
        assert (await anext(again))[0] == ""  # quiet: nothing is new
        await close(again)
        source.value = 1
        missed = streams.follow("ada", "x", source.read, number)
        assert (await anext(missed))[1] == {"value": 1}
        await close(missed)
        other = Streams().follow("ada", "x", source.read, "nonsense")
        assert (await anext(other))[1] == {"value": 1}
        await close(other)

    in_a_loop(test)


def test_one_may_hold_twenty_and_all_together_two_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_OF_ALL", 30)

    async def test(streams: Streams, source: Source) -> None:
        mine = [streams.follow("ada", "x", source.read) for _ in range(20)]
        await asyncio.gather(*(anext(each) for each in mine))
        with refused("TOO_MANY_REQUESTS"):
            await anext(streams.follow("ada", "y", source.read))
        others = [streams.follow(f"who{number}", "x", source.read) for number in range(10)]
        await asyncio.gather(*(anext(each) for each in others))
        with refused("TOO_MANY_REQUESTS"):
            await anext(streams.follow("bob", "x", source.read))
        await close(mine.pop())
        bob = streams.follow("bob", "x", source.read)
        await anext(bob)
        await close(bob, *mine, *others)

    in_a_loop(test)


@pytest.mark.parametrize("fault", [DatabaseUnavailable("away"), InputError("gone", code="UNKNOWN_JOB")])
def test_an_outage_ends_no_stream(fault: Exception) -> None:
    async def test(streams: Streams, source: Source) -> None:
        follow = streams.follow("ada", "x", source.read)
        await anext(follow)
        source.fault = fault
        assert (await anext(follow))[0] == ""
        source.fault, source.value = None, 3
        assert (await anext(follow))[1] == {"value": 3}
        await close(follow)

    in_a_loop(test)


def test_what_cannot_be_read_at_first_leaves_nothing() -> None:
    async def test(streams: Streams, source: Source) -> None:
        source.fault = DatabaseUnavailable("away")
        with pytest.raises(DatabaseUnavailable):
            await anext(streams.follow("ada", "x", source.read))
        assert streams._subjects == {}
        assert not streams._held

    in_a_loop(test)


def test_a_server_that_leaves_ends_all_streams() -> None:
    async def test(streams: Streams, source: Source) -> None:
        many = [streams.follow("ada", "x", source.read) for _ in range(5)]
        await asyncio.gather(*(anext(each) for each in many))
        waiting = [asyncio.ensure_future(anext(each, None)) for each in many]
        streams.stop()
        assert await asyncio.gather(*waiting) == [None] * 5

    in_a_loop(test)


def test_a_stream_ends_after_a_while_so_that_its_caller_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST_SECONDS", 0.1)

    async def test(streams: Streams, source: Source) -> None:
        got = [each async for each in streams.follow("ada", "x", source.read)]
        assert got[0][1] == {"value": 0}

    in_a_loop(test)


def test_a_job_is_followed_over_the_wire(live: Live, home_database: Database, job_id: int) -> None:
    token = access.add_token(home_database, "vi", Role.VIEWER)
    request = f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {token}\r\n\r\n"
    import socket

    with socket.create_connection(("127.0.0.1", live.site.address.port), timeout=20) as connection:
        connection.sendall(request.replace("HOST", f"127.0.0.1:{live.site.address.port}").encode())
        got = b""
        while got.count(b"event: progress") < 1:
            got += connection.recv(65536)
        ledger.set_priority(home_database, job_id, 9)
        while got.count(b"event: progress") < 2:
            got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    assert b"content-security-policy" in head.lower()
    data = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert [each["job"]["priority"] for each in data[:2]] == [0, 9]
