"""Messages: the Celery app and the one doorbell that is sent. Our only contact with Celery beside a worker process.

A message is a lossy, duplicable doorbell that carries ``{task_id, epoch}``: what gets lost is rung again, what comes
twice is refused by the lease. So messages are acknowledged early and carry no result, no retry and no schedule.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from db import queues
from db.errors import BrokerUnavailable, InputError, lacks_room
from db.settings import Settings, make_home

if TYPE_CHECKING:
    from db.ledger import Doorbell


class Broker(Protocol):
    """Whoever carries doorbells."""

    def send(self, bells: Iterable[Doorbell]) -> None:
        """Send doorbells.

        Raises:
            BrokerUnavailable: It does not answer; what was not sent is rung again later.
        """
        ...


class CeleryBroker:
    """Doorbells as Celery messages, over Redis or the message folder."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the connection; nothing is sent yet."""
        self.settings = settings
        self.app = celery_app(settings)

    def send(self, bells: Iterable[Doorbell]) -> None:
        """See :class:`Broker`."""
        from kombu.exceptions import KombuError, OperationalError

        try:
            with self.app.producer_or_acquire() as producer:
                for bell in bells:
                    self.app.send_task(
                        bell.name,
                        args=(bell.task_id, bell.epoch),
                        queue=message_queue(bell.queue),
                        producer=producer,
                        retry=False,
                        ignore_result=True,
                    )
        except (OperationalError, KombuError, OSError) as error:
            # A broken connection would stay in the pool; a fresh app connects anew on the next try.
            self.app = celery_app(self.settings)
            if lacks_room(error):
                message = f"There is no room for messages in {self.settings.messages}"
                raise BrokerUnavailable(message, code="NO_SPACE") from error
            raise BrokerUnavailable(f"The broker does not answer: {error}") from error

    def check(self) -> None:
        """Connect, look at the queues, and leave a message that is taken away again.

        Raises:
            BrokerUnavailable: It does not answer, or refuses one of these.
        """
        from kombu.exceptions import KombuError, OperationalError

        connection = self.app.connection_for_write()
        try:
            with connection:
                connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
                for name in (queues.FINISH, queues.RESTORE, queues.LIGHT):
                    message_queue(name)(connection.default_channel).queue_declare()
                probe = message_queue(f"doctor-{uuid.uuid4().hex}")(connection.default_channel)
                connection.Producer().publish({}, routing_key=probe.name)
                probe.purge()
        except (OperationalError, KombuError, OSError, *connection.connection_errors) as error:
            raise BrokerUnavailable(f"The broker does not answer: {error}") from error


def celery_app(settings: Settings, consumed: Sequence[str] = ()) -> Any:
    """Make the Celery app; ``consumed`` are the queues that a worker consumes.

    Raises:
        InputError: The broker's address is of no supported kind, or its library is not installed.
    """
    from celery import Celery

    url, options = _transport(settings)
    app = Celery("reelwright", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_queues=[message_queue(name) for name in consumed],
    )
    return app


def message_queue(name: str) -> Any:
    """Return Kombu's queue of a name. It is on the default exchange: no bindings that two processes could spoil."""
    from kombu import Exchange, Queue

    return Queue(name, Exchange("", type="direct"), routing_key=name, durable=True)


def _transport(settings: Settings) -> tuple[str, dict[str, Any]]:
    if not settings.broker_url:
        from db import message_folder

        make_home(settings)
        return f"{message_folder.SCHEME}://", message_folder.prepare(settings.messages)
    scheme = settings.broker_url.partition("://")[0]
    if scheme not in {"redis", "rediss"}:
        raise InputError(f"broker_url: {scheme} is not supported; use redis:// or leave it empty", code="BAD_SETTING")
    try:
        import redis  # noqa: F401 -- Kombu's own message for its absence names no remedy
    except ModuleNotFoundError as error:
        raise InputError("Redis's library is not installed", code="SERVER_EXTRA_MISSING") from error
    from db import message_redis  # noqa: F401 -- Kombu finds it by the scheme from now on

    # Acknowledged early, a message is never redelivered after a timeout; the long one only rules out surprises.
    return settings.broker_url, {
        "visibility_timeout": 7 * 24 * 3600,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
