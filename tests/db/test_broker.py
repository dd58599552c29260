from __future__ import annotations

from pathlib import Path

import pytest

from db import message_folder
from db.broker import CeleryBroker, _queue
from db.errors import BrokerUnavailable, InputError
from db.ledger import Doorbell
from db.settings import Settings
from tests.support import servers


def receive(broker: CeleryBroker, queue: str, count: int) -> list[list[int]]:
    """Take up to ``count`` messages off a queue."""
    got: list[list[int]] = []
    with broker.app.connection_for_read() as connection, connection.SimpleQueue(_queue(queue)) as simple:
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


def test_other_brokers_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="amqp"):
        CeleryBroker(Settings(broker_url="amqp://localhost"))


def test_only_json_is_accepted(tmp_path: Path) -> None:
    broker = CeleryBroker(Settings(home=tmp_path))
    assert broker.app.conf.accept_content == ["json"]
    assert broker.app.conf.task_acks_late is False
