from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as Client

from db import message_folder
from db.broker import CeleryBroker, message_queue
from db.doorbells import LOOK_NAME, TASK_NAME, NotADoorbell, clean_payload, read_payload
from db.errors import BrokerUnavailable, InputError
from db.ledger import Doorbell
from db.settings import Settings
from tests.support import servers


def receive(broker: CeleryBroker, queue: str, count: int) -> list[list[int]]:
    """Take up to ``count`` messages off a queue."""
    got: list[list[int]] = []
    with broker.app.connection_for_read() as connection, connection.SimpleQueue(message_queue(queue)) as simple:
        for _ in range(count):
            try:
                message = simple.get(timeout=1)
            except simple.Empty:
                break
            got.append(message.payload[0])
            message.ack()
    return got


def bells(count: int) -> list[Doorbell]:
    return [Doorbell(number, 1, "light") for number in range(count)]


def test_doorbells_arrive_over_the_message_folder(tmp_path: Path) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    broker.send(bells(3))
    assert receive(broker, "light", 4) == [[0, 1], [1, 1], [2, 1]]
    assert message_folder.pending(tmp_path / "messages") == []


def test_doorbells_arrive_over_redis(redis: servers.Redis) -> None:
    broker = CeleryBroker(Settings(broker_url=redis.url(3)))
    broker.check()
    broker.send(bells(3))
    assert receive(broker, "light", 4) == [[0, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b"null", b'{"body": 1}', b"\xff\xfe"])
def test_a_torn_message_file_never_stops_the_reader(tmp_path: Path, torn: bytes) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    inbox = tmp_path / "messages" / "in"
    (inbox / f"{0:020d}_torn.light.msg").write_bytes(torn)
    broker.send(bells(1))
    assert receive(broker, "light", 2) == [[0, 1]]


def test_messages_appear_whole(tmp_path: Path) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    broker.send(bells(2))
    names = [path.name for path in (tmp_path / "messages" / "in").iterdir()]
    assert all(name.endswith(".light.msg") and not name.startswith(".") for name in names)


def test_a_home_that_is_made_for_messages_is_its_owners_alone(tmp_path: Path) -> None:
    CeleryBroker(Settings(home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'elsewhere.db'}"))
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_queues_do_not_mix(tmp_path: Path) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    broker.send([Doorbell(1, 1, "restore-abc"), Doorbell(2, 1, "restore")])
    assert receive(broker, "restore", 2) == [[2, 1]]
    assert receive(broker, "restore-abc", 2) == [[1, 1]]


def test_a_dead_broker_is_an_outage_and_the_same_sender_recovers() -> None:
    with servers.redis() as server:
        broker = CeleryBroker(Settings(broker_url=server.url()))
        broker.send(bells(1))
        server.kill()
        with pytest.raises(BrokerUnavailable):
            broker.send(bells(1))
        with pytest.raises(BrokerUnavailable):
            broker.check()
        server.start()
        broker.send(bells(1))
        assert receive(broker, "light", 2) == [[0, 1]]


def _fill(client: Client) -> None:
    client.config_set("maxmemory", "1")


def _demote(client: Client) -> None:
    client.replicaof("127.0.0.1", "1")


def _occupy(client: Client) -> None:
    for name in ("light", "finish", "restore"):
        client.set(name, "x")


def _relieve(client: Client) -> None:
    client.replicaof("NO", "ONE")
    client.config_set("maxmemory", "0")
    client.flushall()


@pytest.mark.parametrize("harm", [_fill, _demote, _occupy])
def test_a_server_that_refuses_is_waited_for_like_one_that_is_away(harm: Callable[[Client], None]) -> None:
    with servers.redis() as server, Client(port=server.port) as client:
        broker = CeleryBroker(Settings(broker_url=server.url()))
        broker.check()
        assert client.keys("doctor*") == []
        harm(client)
        with pytest.raises(BrokerUnavailable):
            broker.send(bells(1))
        with pytest.raises(BrokerUnavailable):
            broker.check()
        # Celery's consumer connects anew after errors of these classes, and ends with all others.
        with broker.app.connection_for_read() as connection, pytest.raises(connection.connection_errors):
            connection.SimpleQueue(message_queue("light")).get(timeout=3)
        _relieve(client)
        broker.check()
        broker.send(bells(1))
        assert receive(broker, "light", 1) == [[0, 1]]


def test_other_brokers_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="amqp"):
        CeleryBroker(Settings(broker_url="amqp://localhost"))


def test_only_json_is_accepted(tmp_path: Path) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    assert broker.app.conf.accept_content == ["json"]
    assert broker.app.conf.task_acks_late is False


# -- what is no doorbell of ours


def our_message(tmp_path: Path) -> dict[str, Any]:
    CeleryBroker(Settings(home=tmp_path / "pattern")).send([Doorbell(7, 3, "light")])
    (path,) = message_folder.pending(tmp_path / "pattern" / "messages")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def body(*content: object) -> str:
    return base64.b64encode(json.dumps(list(content)).encode()).decode()


ODD: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "an unknown encoding of the body": lambda m: m | {"properties": m["properties"] | {"body_encoding": "rot13"}},
    "properties that are a number": lambda m: m | {"properties": 7},
    "headers that are a number": lambda m: m | {"headers": 7},
    "a body that is a number": lambda m: m | {"body": 7},
    "no delivery info": lambda m: m | {"properties": {"body_encoding": "base64"}},
    "another task": lambda m: m | {"headers": m["headers"] | {"task": "celery.chord"}},
    "pickle": lambda m: m | {"content-type": "application/x-python-serialize"},
    "keyword arguments": lambda m: m | {"body": body([1, 1], {"x": 1}, {})},
    "three arguments": lambda m: m | {"body": body([1, 1, 1], {}, {})},
    "truth for a number": lambda m: m | {"body": body([True, 1], {}, {})},
    "a negative number": lambda m: m | {"body": body([-1, 1], {}, {})},
    "a huge number": lambda m: m | {"body": body([2**63, 1], {}, {})},
    "text for a number": lambda m: m | {"body": body(["1", 1], {}, {})},
    "no base64": lambda m: m | {"body": "{}"},
    "a deep body": lambda m: m | {"body": base64.b64encode(b"[" * 40_000).decode()},
    "much else": lambda m: m | {"more": "x" * 100_000},
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_messages_stop_nobody(tmp_path: Path, redis: servers.Redis, odd: str) -> None:
    text = json.dumps(ODD[odd](our_message(tmp_path)))
    home = tmp_path / "home"
    broker = CeleryBroker(Settings(home=home))
    (home / "messages" / "in" / f"{0:020d}_odd.light.msg").write_text(text)
    broker.send(bells(1))
    assert receive(broker, "light", 1) == [[0, 1]]
    assert [path.name for path in (home / "messages" / "aside").iterdir()] == [f"{0:020d}_odd.light.msg"]
    if odd != "much else":  # Redis has no bound on what it holds, and what is more is thrown away
        with Client.from_url(redis.url(4)) as client:
            client.lpush("light", text)
        on_redis = CeleryBroker(Settings(broker_url=redis.url(4)))
        on_redis.send(bells(1))
        assert receive(on_redis, "light", 1) == [[0, 1]]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 50_000, b"1" * 10_000])
def test_what_is_no_json_stops_nobody_on_redis(redis: servers.Redis, data: bytes) -> None:
    with Client.from_url(redis.url(5)) as client:
        client.lpush("light", data)
    broker = CeleryBroker(Settings(broker_url=redis.url(5)))
    broker.send(bells(1))
    assert receive(broker, "light", 1) == [[0, 1]]


def test_nothing_but_two_numbers_of_a_message_is_handed_on(tmp_path: Path) -> None:
    ours = our_message(tmp_path)
    evil = {"timelimit": ["x", {}], "eta": "never", "expires": -1, "callbacks": [1], "argsrepr": "x" * 1000}
    cleaned = clean_payload(ours | {"headers": ours["headers"] | evil})
    assert cleaned["headers"]["timelimit"] == [None, None]
    assert "x" not in json.dumps(cleaned["headers"]["eta"])
    assert json.loads(base64.b64decode(cleaned["body"]))[:2] == [[7, 3], {}]


@pytest.mark.parametrize("name", [TASK_NAME, LOOK_NAME])
def test_doorbells_of_both_kinds_keep_their_kind(tmp_path: Path, name: str) -> None:
    CeleryBroker(Settings(home=tmp_path)).send([Doorbell(7, 3, "light", name)])
    (message,) = (tmp_path / "messages" / "in").iterdir()
    payload = read_payload(message.read_bytes())
    assert payload["headers"]["task"] == name
    payload["headers"]["task"] = "reelwright.other"
    with pytest.raises(NotADoorbell):
        clean_payload(payload)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


def _large(path: Path) -> None:
    path.write_bytes(b" " * 10_000_000)


@pytest.mark.parametrize("place", [_fifo, _endless, _folder, _large])
def test_what_is_no_plain_small_file_stops_nobody(tmp_path: Path, place: Callable[[Path], None]) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    place(tmp_path / "messages" / "in" / f"{0:020d}_odd.light.msg")
    broker.send(bells(1))
    assert receive(broker, "light", 1) == [[0, 1]]
    assert len(list((tmp_path / "messages" / "aside").iterdir())) == 1


def test_refused_messages_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_folder, "MOST_ASIDE", 3)
    broker = CeleryBroker(Settings(home=tmp_path))
    for number in range(5):
        (tmp_path / "messages" / "in" / f"{number:020d}_odd.light.msg").touch()
    _folder(tmp_path / "messages" / "in" / f"{9:020d}_odd.light.msg")
    broker.send(bells(1))
    assert receive(broker, "light", 1) == [[0, 1]]
    assert len(list((tmp_path / "messages" / "aside").iterdir())) == 3
    assert [path for folder in ("in", "processed") for path in (tmp_path / "messages" / folder).iterdir()] == []


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_no_bytes_are_read_as_a_doorbell_by_chance(data: bytes) -> None:
    with pytest.raises(NotADoorbell):
        read_payload(data)
