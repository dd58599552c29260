"""The broker on Redis: Kombu's transport, which hands on nothing but doorbells. Used through ``db.broker``."""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import RedisError

from db.doorbells import NotADoorbell, clean_payload

log = structlog.get_logger(__name__)


class RedisChannel(redis.Channel):  # type: ignore[misc]
    """One process's view of the queues."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, RecursionError) as error:  # no JSON at all; it is taken off the queue already
            log.warning("message refused", reason=str(error)[:200])
            raise Empty from error


class RedisTransport(redis.Transport):  # type: ignore[misc]
    """What Kombu looks up by the URL's scheme."""

    Channel = RedisChannel
    connection_errors = (*redis.Transport.connection_errors, RedisError)
    """A server that is full, that has become a replica, or that holds something else under a queue's name, is waited
    for like one that is away; to Kombu its refusals are faults, of which a worker dies."""

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            payload = clean_payload(message)
        except NotADoorbell as error:
            log.warning("message refused", queue=str(queue)[:100], reason=str(error))
            return
        super()._deliver(payload, queue)


# Kombu knows the schemes of broker URLs from this table.
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:RedisTransport"
