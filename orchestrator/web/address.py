"""Where the server is reached: what it listens on, and by which names browsers may call it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from db.errors import InputError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """One server's address."""

    host: str
    port: int
    socket: Path | None = None
    """A Unix socket that is listened on instead."""
    public_url: str = ""
    """What people type, where something stands in front of the server; empty when they reach it directly."""

    def __post_init__(self) -> None:
        """Refuse what is no address; raises ``InputError`` ``BAD_VALUE``."""
        if self.public_url and not _is_bare(self.public_url):
            remedy = "Give scheme and host, such as https://film.example.org."
            raise InputError(f"{self.public_url!r:.200} is no public URL of a server", remedy=remedy)

    @property
    def is_local(self) -> bool:
        """Whether only users of this machine reach it."""
        return self.socket is not None or is_loopback(self.host)

    @property
    def is_private(self) -> bool:
        """Whether people too come from this machine alone, and nothing stands in front that lets in others."""
        parts = urlsplit(self.public_url)
        return self.is_local and (not self.public_url or is_loopback(str(parts.hostname)))

    @cached_property
    def scheme(self) -> str:
        """How browsers reach it."""
        return urlsplit(self.public_url).scheme if self.public_url else "http"

    @cached_property
    def hosts(self) -> frozenset[str]:
        """What a request's ``Host`` may be, in lower case."""
        if self.public_url:
            parts = urlsplit(self.public_url)
            return _with_port(str(parts.hostname), parts.port or _DEFAULT_PORTS[parts.scheme], parts.scheme)
        if self.socket is not None:
            return frozenset({"localhost"})
        names = {self.host} | ({"127.0.0.1", "localhost", "::1"} if is_loopback(self.host) else set())
        return frozenset(each for name in names for each in _with_port(name, self.port, "http"))

    @cached_property
    def origins(self) -> frozenset[str]:
        """What the ``Origin`` of its own pages is."""
        return frozenset(f"{self.scheme}://{host}" for host in self.hosts)

    @property
    def url(self) -> str:
        """Where people find it, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        name = f"[{self.host}]" if ":" in self.host else self.host
        return "http://localhost" if self.socket else f"http://{name}:{self.port}"


def _is_bare(url: str) -> bool:
    """Whether a URL is scheme and host, perhaps with a port, and nothing else."""
    try:
        parts = urlsplit(url)
        has_host = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        return False
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    return has_host and not has_more and url.isascii() and url.isprintable() and " " not in url


def is_loopback(host: str) -> bool:
    """Whether a host that is listened on is reached by this machine's own users alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_port(name: str, port: int, scheme: str) -> frozenset[str]:
    shown = f"[{name}]" if ":" in name else name
    with_port = f"{shown}:{port}".lower()
    return frozenset({with_port, shown.lower()} if port == _DEFAULT_PORTS[scheme] else {with_port})
