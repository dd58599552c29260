"""The outermost door: who may ask at all, how slowly, and what browsers are told about every answer.

A page elsewhere can make a browser send requests here. It cannot choose their ``Host`` (unless its own name leads
here), nor what the browser says of where they come from; so both are looked at before anything else is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

import structlog
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.errors import CODES
from orchestrator.web.address import Address

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SILENT_SECONDS = 30.0
"""How long a request's body may keep still."""
MOST_OPEN_BYTES = 4_000_000
"""What anybody may send before it is known who it is: no document is larger. Bodies are read before a route looks."""
OPEN_TO_ANY_HOST = frozenset({"/health/live", "/health/ready"})
"""What a machine in front asks by whatever name it has for this one; nothing is told there but that it lives."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer says, unless it says otherwise itself."""

log = structlog.get_logger(__name__)


class Guard:
    """Lets through requests that were meant for this server and come from its own pages, or from no page at all."""

    def __init__(
        self,
        app: ASGIApp,
        address: Address,
        on_answer: Callable[[Scope, int], None] = lambda scope, status: None,
        refuse_sender: Callable[[Scope], tuple[int, str] | None] = lambda scope: None,
    ) -> None:
        """Stand before an application.

        Args:
            app: The application.
            address: Where it is reached.
            on_answer: Told each answer's status.
            refuse_sender: Asked in a thread about whoever sends more than any document has, or does not say how much:
                returns status and code where nothing is taken from them.
        """
        self._app, self._address, self._on_answer, self._refuse_sender = app, address, on_answer, refuse_sender

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a connection, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            send = self._add_headers(scope, send)
            refusal = self._refuse(scope)
            if refusal is None and _may_be_large(scope):
                refusal = await run_in_threadpool(self._refuse_sender, scope)
            if refusal:
                await _answer(send, *refusal)
            else:
                await self._pass_on(scope, _Patience(receive).receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; what goes wrong after an answer began breaks it off, and the log alone says why.

        A file that came whole is right: whoever asked sees that this one did not.
        """
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # it was answered with 500, or the answer had begun; both end here
            cause, route = error.__cause__ or error, getattr(scope.get("route"), "path", "")
            log.error("answer broken off", route=route, error=f"{type(cause).__name__}: {cause}"[:300])

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and code where a request is not let in."""
        hosts = _values(scope, b"host")
        if scope["path"] not in OPEN_TO_ANY_HOST and (len(hosts) != 1 or hosts[0].lower() not in self._address.hosts):
            return 421, "WRONG_HOST"
        if scope["method"] in SAFE or _bears_token(scope) or self._is_own(scope):
            return None
        return 403, "FOREIGN_REQUEST"

    def _is_own(self, scope: Scope) -> bool:
        """Whether a browser says that a request comes from a page of this server."""
        sites, origins = _values(scope, b"sec-fetch-site"), _values(scope, b"origin")
        if sites:
            return sites == ["same-origin"]
        return len(origins) == 1 and origins[0].lower() in self._address.origins

    def _add_headers(self, scope: Scope, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_missing(message.get("headers", ()))]
                self._on_answer(scope, message["status"])
            await send(message)

        return send_with_headers


class _Patience:
    """Takes a request's body, and takes a sender that keeps still for gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._is_whole = receive, False

    async def receive(self) -> Message:
        if self._is_whole:  # what comes now is that the sender goes: a stream is ended by it, however late
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), SILENT_SECONDS)
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _may_be_large(scope: Scope) -> bool:
    """Whether a request brings more than anybody may send, or does not say how much."""
    lengths = _values(scope, b"content-length")
    if _values(scope, b"transfer-encoding"):
        return True
    return any(not each.isdecimal() or int(each) > MOST_OPEN_BYTES for each in lengths)


def _missing(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    said = {name.lower() for name, _ in headers}
    return [
        (name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in said
    ]


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in scope["headers"] if each.lower() == name]


def _bears_token(scope: Scope) -> bool:
    """Whether a program says who it is: no page can make a browser do so for it."""
    values = _values(scope, b"authorization")
    return len(values) == 1 and values[0].lower().startswith("bearer ")


async def _answer(send: Send, status: int, code: str) -> None:
    facts = {"code": code, "message": CODES[code].meaning, "remedy": CODES[code].remedy}
    body = json.dumps({"error": facts}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
