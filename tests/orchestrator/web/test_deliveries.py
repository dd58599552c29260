"""Messages to webhooks: to public addresses alone, signed as Standard Webhooks says, and none waits for another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from db import administration, ledger
from db.broker import CeleryBroker
from db.ledger import webhooks
from db.ledger.webhooks import DueDelivery
from db.session import Database
from db.settings import Settings
from db.states import WebhookEvent
from db.store import open_store
from orchestrator.loop import Loop
from orchestrator.web import deliveries
from orchestrator.web.deliveries import AddressRefused, Deliverer, check_url, post, signature_headers
from tests.support.refusals import refused
from tests.support.servers import wait_until
from tests.support.visitor import Visitor

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
    "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fec0::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "::ffff:0:127.0.0.1", "100::1", "5f00::1",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
HTTPS = "https://hooks.example.org/x"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_exceptions": ("http://127.0.0.1:9",)})


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to addresses; returns the names that are asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_no_message_goes_to_what_is_not_public(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for address in PRIVATE:
        for addresses in ([address], ["1.1.1.1", address], [address, "1.1.1.1"]):
            resolving(monkeypatch, *addresses)
            try:
                check_url(HTTPS, settings)
                taken.append(addresses)
            except deliveries.InputError:
                continue
    assert taken == []


def test_public_addresses_are_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in PUBLIC:
        resolving(monkeypatch, address)
        check_url(HTTPS, settings)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/",
        "https://0/",
        "https://localhost/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://1.1.1.1@127.0.0.1/", "https://127.0.0.1@1.1.1.1/", "https://:pw@1.1.1.1/", "http://1.1.1.1/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd", "https:///x", "https://", "//1.1.1.1/", "https://[::1", "https://1.1.1.1:99999/",
        "https://1.1.1.1:0/",
        "https://1.1.1.1:x/", "https://" + "a" * 300 + "/", "http://127.0.0.1:90/", "http://127.0.0.1:9@evil.example/",
        "http://127.0.0.1:9.evil.example/",
    ],
)  # fmt: skip
def test_an_address_in_any_disguise_is_refused(settings: Settings, url: str) -> None:
    with refused("BAD_VALUE"):
        check_url(url, settings)


def test_what_the_settings_except_is_taken(settings: Settings) -> None:
    check_url("http://127.0.0.1:9", settings)
    check_url("http://127.0.0.1:9/any/path?x=1", settings)


def due(url: str, body: str = '{"a": 1}') -> DueDelivery:
    return DueDelivery(1, "msg_1", url, "whsec_" + base64.b64encode(b"k" * 32).decode(), body, 0)


def test_what_a_name_leads_to_is_looked_at_again_when_a_message_is_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "1.1.1.1")
    check_url(HTTPS, settings)
    asked = resolving(monkeypatch, "127.0.0.1")
    with pytest.raises(AddressRefused):
        post(settings, due(HTTPS))
    assert asked == ["hooks.example.org"]


def test_the_address_that_was_looked_at_is_called_under_its_own_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, "1.1.1.1")
    called = []

    async def note(target: str, host: str, body: bytes, headers: dict[str, str]) -> int:
        called.append((target, host, headers["Host"]))
        return 200

    monkeypatch.setattr(deliveries, "_ask", note)
    post(settings, due("https://hooks.example.org/x?y=1"))
    assert called == [("https://1.1.1.1:443/x?y=1", "hooks.example.org", "hooks.example.org")]
    assert asked == ["hooks.example.org"]  # once: there is nothing between the look and the call


def test_the_signature_is_the_one_of_the_scheme() -> None:
    headers = signature_headers(due(HTTPS, '{"ä": 1}'), now=1700000000.9)
    key = b"k" * 32
    expected = base64.b64encode(hmac.digest(key, 'msg_1.1700000000.{"ä": 1}'.encode(), "sha256")).decode()
    assert headers == {
        "webhook-id": "msg_1", "webhook-timestamp": "1700000000", "webhook-signature": f"v1,{expected}",
    }  # fmt: skip


def test_the_signature_is_that_of_the_published_example() -> None:
    """The example of the Standard Webhooks libraries' own tests."""
    example = DueDelivery(
        1, "msg_p5jXN8AQM9LWM0D4loKWxJek", HTTPS, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}', 0
    )
    said = signature_headers(example, now=1614265330)["webhook-signature"]
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@contextmanager
def receiver(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that does with each call what a test wants; gives its port and what came."""
    got: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=take, args=(connection,), daemon=True).start()

    def take(connection: socket.socket) -> None:
        with connection:
            data = connection.recv(65536)
            while b"\r\n\r\n" not in data or not data.rstrip().endswith(b"}"):
                data += connection.recv(65536)
            got.append(data)
            try:
                answer(connection, data)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    with closing(server):
        yield server.getsockname()[1], got
        server.shutdown(socket.SHUT_RDWR)


def say(text: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, _: connection.sendall(text)


OK = say(b"HTTP/1.1 204 No Content\r\n\r\n")


def drip(connection: socket.socket, _: bytes) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
        connection.sendall(bytes([letter]))
        time.sleep(0.05)


def at(settings: Settings, port: int) -> Settings:
    return settings.model_copy(update={"webhook_exceptions": (f"http://127.0.0.1:{port}",)})


def test_a_message_arrives_as_it_was_signed(settings: Settings) -> None:
    with receiver(OK) as (port, got):
        assert post(at(settings, port), due(f"http://127.0.0.1:{port}/x")) == 204
    head, _, body = got[0].partition(b"\r\n\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    signed = b".".join((headers[b"webhook-id"], headers[b"webhook-timestamp"], body))
    expected = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest())
    assert headers[b"webhook-signature"] == b"v1," + expected
    assert headers[b"content-type"] == b"application/json"


def test_no_redirect_is_followed(settings: Settings) -> None:
    with (
        receiver(OK) as (other, never),
        receiver(
            say(f"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n".encode())
        ) as (port, _),
    ):
        assert post(at(settings, port), due(f"http://127.0.0.1:{port}/x")) == 307
        assert never == []


@pytest.mark.parametrize("answer", [lambda *_: time.sleep(2), drip])
def test_a_receiver_that_never_answers_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket, bytes], None]
) -> None:
    monkeypatch.setattr(deliveries, "SECONDS", 0.4)
    with receiver(answer) as (port, _), pytest.raises((TimeoutError, deliveries.httpx.HTTPError)):
        post(at(settings, port), due(f"http://127.0.0.1:{port}/x"))


def test_an_answer_without_end_is_not_read(settings: Settings) -> None:
    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(bytes(65536))

    with receiver(flood) as (port, _):
        assert post(at(settings, port), due(f"http://127.0.0.1:{port}/x")) == 200


def states(database: Database, webhook_id: int) -> list[tuple[str, int, int | None]]:
    rows = administration.delivery_page(database, webhook_id, before_id=None, limit=100).rows
    return [(str(row.state), row.attempts, row.last_status) for row in rows]


def test_one_that_is_silent_or_wrong_keeps_no_other_waiting(
    settings: Settings, home_database: Database, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SECONDS", 1.0)
    with receiver(lambda *_: time.sleep(5)) as (silent, _), receiver(OK) as (good, got):
        allowed = settings.model_copy(
            update={"webhook_exceptions": (f"http://127.0.0.1:{silent}", f"http://127.0.0.1:{good}")}
        )
        urls = [f"http://127.0.0.1:{silent}/x", "https://[::1", "https://localhost/", f"http://127.0.0.1:{good}/x"]
        hooks = [webhooks.add_webhook(home_database, url, list(WebhookEvent)).id for url in urls]
        ledger.cancel_job(home_database, job_id)
        deliverer = Deliverer(allowed, home_database)
        for _ in range(5):
            deliverer.wake()
        wait_until(lambda: states(home_database, hooks[3])[0][0] == "delivered", 20, "the good one has it")
        wait_until(
            lambda: all(states(home_database, each)[0][1] == 1 for each in hooks[:3]), 20, "the others were tried"
        )
        assert len(got) == 1
        assert [states(home_database, each)[0][0] for each in hooks] == ["pending"] * 3 + ["delivered"]
        told = json.loads(got[0].partition(b"\r\n\r\n")[2])
        assert (told["type"], told["data"]["job_id"]) == ("job.cancelled", job_id)


def test_only_the_leader_sends(settings: Settings, home_database: Database) -> None:
    sent: list[str] = []
    loops = [
        Loop(
            home_database, CeleryBroker(settings), open_store(settings), settings, on_upkeep=partial_append(sent, name)
        )
        for name in ("first", "second")
    ]
    for loop in loops:
        loop.tick()
    assert sent == ["first"]


def partial_append(where: list[str], what: str) -> Callable[[], None]:
    return lambda: where.append(what)


def test_a_secret_is_shown_once(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "1.1.1.1")
    page = admin.ask("POST", "/api/v1/webhooks", json={"url": HTTPS, "events": ["job.done"]})
    assert page.status == 201
    secret = json.loads(page.text)["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    for path in ("/api/v1/webhooks", "/api/v1/webhooks/1/deliveries", "/api/v1/audit"):
        assert secret not in admin.get(path).text
    assert admin.ask("POST", "/api/v1/webhooks", json={"url": "https://[::1", "events": ["job.done"]}).status == 422
