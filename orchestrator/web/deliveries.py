"""Messages to webhooks, sent as Standard Webhooks says: signed, never redirected, and only to public addresses.

Those to people go by e-mail (``orchestrator.web.mail``).

The address is looked up once and that very address is called, under its own name: what a name leads to may change
between a look and a call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from smtplib import SMTPException
from urllib.parse import urlsplit

import anyio
import httpx
import structlog

from db.errors import InputError, ReelwrightError
from db.ledger import webhooks
from db.ledger.webhooks import MAIL, SECRET_MARK, DueDelivery
from db.session import Database
from db.settings import Settings
from orchestrator.web import mail

MAIL_TAKEN = 250
"""What a mail server answers that has taken a message."""
SECONDS = 10.0
"""How long a message may take."""
AT_ONCE = 8
"""Messages that are on their way together: a receiver that does not answer keeps no other waiting."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6; what lies elsewhere leads to IPv4 in one way or another, or to neighbours."""

log = structlog.get_logger(__name__)


class AddressRefused(Exception):
    """An address that messages do not go to."""


def check_url(url: str, settings: Settings) -> None:
    """Refuse an address that no message will be sent to; raises ``InputError`` ``BAD_VALUE``, ``BAD_SETTING``."""
    if url.startswith(MAIL):
        mail.check_address(url, settings)
        return
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        is_whole = False
    if not is_whole:
        raise InputError(f"{url!r:.200} is no address of a webhook")
    if _is_excepted(url, settings):
        return
    if parts.scheme != "https":
        remedy = "Give an https address, or have the setting `webhook_exceptions` name it."
        raise InputError(f"{url!r:.200} is not reached by https", remedy=remedy)
    try:
        _resolve(str(parts.hostname), parts.port or 443)
    except (AddressRefused, UnicodeError) as error:
        raise InputError(f"{url!r:.200}: {error}") from error
    except OSError:  # the name may lead somewhere later; it is looked up again at each message
        return


class Deliverer:
    """Sends what is due in a thread of its own, whenever it is woken: by the leader's loop, so that one does it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Send nothing yet."""
        self._settings, self._database = settings, database
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Begin to send what is due, unless that goes on already."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_due, name="deliveries", daemon=True)
                self._thread.start()

    def _send_due(self) -> None:
        try:
            with ThreadPoolExecutor(AT_ONCE, "delivery") as pool:
                send = partial(_send, self._settings, self._database)
                list(pool.map(send, webhooks.due_deliveries(self._database)))
        except ReelwrightError as error:  # the next time it is woken
            log.warning("webhooks wait", code=error.code)


def _send(settings: Settings, database: Database, due: DueDelivery) -> None:
    try:
        if due.url.startswith(MAIL):
            mail.send(settings, due)
            status = MAIL_TAKEN
        else:
            status = post(settings, due)
    except (AddressRefused, SMTPException, OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        webhooks.mark_failed(database, due.id, None, f"{type(error).__name__}: {error}")
        return
    if 200 <= status < 300:
        webhooks.mark_delivered(database, due.id, status)
    else:
        webhooks.mark_failed(database, due.id, status, f"answered {status}")


def post(settings: Settings, due: DueDelivery) -> int:
    """Send one message; returns the status of the answer, whose body is not read."""
    parts = urlsplit(due.url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    address = host if _is_excepted(due.url, settings) else _resolve(host, port)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}").geturl()
    headers = {**signature_headers(due), "Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/json"}
    return anyio.run(_ask, target, host, due.body.encode(), headers)


async def _ask(target: str, host: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a request and return the answer's status; raises ``TimeoutError`` after all together took too long.

    A limit for each read alone would let a receiver answer letter by letter without end.
    """
    with anyio.fail_after(SECONDS):
        async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            request = client.build_request("POST", target, content=body, headers=headers)
            request.extensions["sni_hostname"] = host
            answer = await client.send(request, stream=True)
            await answer.aclose()
    return answer.status_code


def signature_headers(due: DueDelivery, now: float | None = None) -> dict[str, str]:
    """Return id, time and signature of a message: HMAC-SHA256 over ``id.time.body`` under the webhook's key."""
    moment = str(int(time.time() if now is None else now))
    key = base64.b64decode(due.secret.removeprefix(SECRET_MARK))
    signed = hmac.new(key, f"{due.message_id}.{moment}.{due.body}".encode(), hashlib.sha256).digest()
    return {
        "webhook-id": due.message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def _resolve(host: str, port: int) -> str:
    """Return an address of a host; raises ``AddressRefused`` where any of its addresses is not public."""
    addresses = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in addresses:
        if not _is_public(address):
            raise AddressRefused(f"{host} leads to {address}, which is not a public address")
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address not in _UNICAST or address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _is_excepted(url: str, settings: Settings) -> bool:
    return any(url == allowed or url.startswith(f"{allowed.rstrip('/')}/") for allowed in settings.webhook_exceptions)
