"""A mail server for tests: takes what it is sent as RFC 5321 says, and keeps it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


class Postbox(socketserver.ThreadingTCPServer):
    """Listens on loopback; ``refuses`` is the answer to recipients, where it takes none."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, refuses: bytes = b"") -> None:
        self.refuses = refuses
        self.taken: list[tuple[str, EmailMessage]] = []
        """Recipient and message."""
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: Postbox

    def handle(self) -> None:
        self._say(b"220 postbox")
        recipient = ""
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = line.decode().partition("<")[2].partition(">")[0]
                self._say(self.server.refuses or b"250 ok")
            elif verb == b"DATA":
                self._say(b"354 go on")
                self._take(recipient)
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

    def _take(self, recipient: str) -> None:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        parsed = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.taken.append((recipient, cast(EmailMessage, parsed)))
        self._say(b"250 taken")

    def _say(self, answer: bytes) -> None:
        self.wfile.write(answer + b"\r\n")


@contextmanager
def postbox(refuses: bytes = b"") -> Iterator[Postbox]:
    """Run a mail server."""
    with Postbox(refuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)
