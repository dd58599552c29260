"""Messages to people, by e-mail: one for each end or pause of a job, under the same id at each try."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

from db.errors import InputError
from db.ledger.webhooks import MAIL, DueDelivery
from db.records import read_object
from db.settings import Settings
from orchestrator.terminal_text import visible

SECONDS = 10.0
"""How long a server may take for one answer."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?\Z")


def check_address(url: str, settings: Settings) -> None:
    """Refuse an address that no e-mail goes to.

    Raises:
        InputError: ``BAD_VALUE``; ``BAD_SETTING`` where no server is set that would send any.
    """
    if not _ADDRESS.match(url.removeprefix(MAIL)):
        raise InputError(f"{url!r:.200} is no address of an e-mail", remedy="Write it as mailto:somebody@example.org.")
    _server(settings)


def send(settings: Settings, due: DueDelivery) -> None:
    """Send one message; raises ``smtplib.SMTPException`` or ``OSError`` where the server does not take it."""
    host, port, encrypted, user, password = _server(settings)
    context = ssl.create_default_context()
    opened = (
        smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
        if encrypted
        else smtplib.SMTP(host, port, timeout=SECONDS)
    )
    with opened as server:
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=context)
            encrypted = True
        if user:
            if not encrypted:
                raise smtplib.SMTPException("the server encrypts nothing, so it was not told the password")
            server.login(user, password)
        server.send_message(_write(settings, due))


def _server(settings: Settings) -> tuple[str, int, bool, str, str]:
    """Return host, port, whether the connection is encrypted from the start, user and password."""
    try:
        parts = urlsplit(settings.smtp_url)
        known = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname)
        port = parts.port or (465 if parts.scheme == "smtps" else 587)
    except ValueError:
        known = False
    if not known:
        raise InputError(
            "E-mail is to be sent, and the setting smtp_url names no server", code="BAD_SETTING",
            remedy="Set it to smtp://USER:PASSWORD@HOST:587, or smtps:// for one that is encrypted from the start.",
        )  # fmt: skip
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return str(parts.hostname), port, parts.scheme == "smtps", user, password


def _write(settings: Settings, due: DueDelivery) -> EmailMessage:
    told = read_object(due.body, f"message {due.message_id}")["data"]
    counts = ", ".join(f"{count} {state}" for state, count in told["counts"].items() if count) or "no items"
    state = str(told["state"]).replace("_", " ")
    message = EmailMessage()
    message["From"] = settings.mail_from or f"Reelwright <reelwright@{socket.gethostname()}>"
    message["To"] = due.url.removeprefix(MAIL)
    message["Subject"] = visible(f"Job {told['job_id']} {told['name']}: {state}")[:200]
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{due.message_id}@reelwright>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [f"Job {told['job_id']}, {visible(told['name'])}, is {state}.", f"Items: {counts}."]
    if told["counts"].get("failed") or told["counts"].get("quarantined"):
        lines.append(f"What failed, and what to do about it: reelwright failures {told['job_id']}")
    message.set_content("\n".join(lines) + "\n")
    return message
