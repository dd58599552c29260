"""Scripts, styles and marks of the pages: small files that are read once and may be kept by browsers for ever.

All lie under one digest of them all, so that a script finds another beside it, and a new release is a new address.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from db.errors import InputError

KEPT = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True)
class Asset:
    """One file."""

    body: bytes
    packed: bytes
    media_type: str


class Assets:
    """All files of ``static``."""

    def __init__(self) -> None:
        """Read them."""
        folder = resources.files("orchestrator.web").joinpath("static")
        self._assets = {name: _read(name, file) for name, file in sorted(_walk(folder, ""))}

    @cached_property
    def digest(self) -> str:
        """First eight digits of a digest of all files and their names."""
        total = hashlib.sha256()
        for name, asset in self._assets.items():
            total.update(f"{name}\0{len(asset.body)}\0".encode() + asset.body)
        return total.hexdigest()[:8]

    def url(self, name: str) -> str:
        """Return the address of a file; raises ``KeyError`` for one that is not there: a template is wrong."""
        if name not in self._assets:
            raise KeyError(f"there is no static file {name}")
        return f"/static/{self.digest}/{name}"

    def respond(self, request: Request, digest: str, name: str) -> Response:
        """Answer with a file; raises ``InputError`` ``NOT_FOUND``."""
        asset = self._assets.get(name)
        if asset is None or digest != self.digest:
            raise InputError("There is no such file", code="NOT_FOUND")
        headers = {"Cache-Control": KEPT, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", "") and len(asset.packed) < len(asset.body):
            return Response(asset.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
        return Response(asset.body, headers=headers, media_type=asset.media_type)


def _walk(folder: Traversable, inside: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        name = f"{inside}{entry.name}"
        found += _walk(entry, f"{name}/") if entry.is_dir() else [(name, entry)]
    return found


def _read(name: str, file: Traversable) -> Asset:
    suffix = name[name.rfind(".") :]
    body = file.read_bytes()
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(body, gzip.compress(body, mtime=0), kind)
