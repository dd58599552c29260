"""Somebody who asks a server that runs in this process, and reads what comes as a browser without script would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import lxml.html
from starlette.types import ASGIApp

from orchestrator.web.address import Address

ADDRESS = Address("127.0.0.1", 8765)
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form on a page of the server itself."""


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: httpx.Headers
    text: str
    content: bytes

    @property
    def html(self) -> Any:
        return lxml.html.fromstring(self.text)

    @property
    def words(self) -> str:
        """What is read on it, with single spaces."""
        return " ".join(self.html.find(".//main").text_content().split())

    def links(self) -> list[str]:
        return [str(each) for each in self.html.xpath("//a/@href")]


@dataclass
class Visitor:
    """One browser, or one program where it bears a token."""

    app: ASGIApp
    token: str = ""
    address: Address = ADDRESS

    def get(self, path: str, **headers: str) -> Page:
        return self.ask("GET", path, headers=headers)

    def send(self, path: str, fields: Sequence[tuple[str, str]] = (), **headers: str) -> Page:
        """Send a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, content=urlencode(fields).encode(), headers=OWN_PAGE | kind | headers)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Page:
        bears = {"Authorization": f"Bearer {self.token}"} if self.token else {}

        async def do() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self.address.url) as client:
                return await client.request(method, path, headers=bears | (headers or {}), **more)

        response = anyio.run(do)
        return Page(response.status_code, response.headers, response.text, response.content)
