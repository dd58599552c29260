"""Files out of the store, and made ones, as downloads: always attachments, under names that no browser misreads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from db.errors import InputError
from db.records import Blob
from db.store.base import Store
from db.store.local import check_digest

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


def send_blob(
    request: Request, store: Store, blob: Blob, name: str, media_type: str = "application/octet-stream"
) -> Response:
    """Answer with a blob, or the one range of it that is asked for; several ranges at once get the whole."""
    headers = _headers(name) | {"Accept-Ranges": "bytes", "ETag": f'"{blob.sha256}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    wanted = (
        request.headers.get("range", "") if request.headers.get("if-range", headers["ETag"]) == headers["ETag"] else ""
    )
    span = _span(wanted, blob.bytes)
    start, stop = span or (0, blob.bytes)
    if span and start >= stop:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{blob.bytes}"})
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.bytes}"
    headers["Content-Length"] = str(stop - start)
    pieces = store.stream(blob, start, stop) if span else _whole(store, blob)
    body = iter(()) if request.method == "HEAD" else _begin(pieces)
    return StreamingResponse(body, 206 if span else 200, headers, media_type)


def send_pieces(pieces: Iterable[bytes], name: str, media_type: str) -> Response:
    """Answer with a file that is made while it is sent; what is wrong with its beginning is still answered as such."""
    return StreamingResponse(_begin(iter(pieces)), 200, _headers(name), media_type)


def _headers(name: str) -> dict[str, str]:
    """Say what a download is called: RFC 6266, with a plain name for those who know no other."""
    plain = _PLAIN.sub("_", name).strip("._-") or "file"
    encoded = quote(name, safe="", errors="replace")
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"}


def _whole(store: Store, blob: Blob) -> Iterator[bytes]:
    """Yield all of a blob, and its last piece only if all is what the record says: what came whole is right."""
    digest, last = hashlib.sha256(), b""
    for piece in store.stream(blob):
        digest.update(piece)
        yield last
        last = piece
    check_digest(blob, digest.hexdigest())
    yield last


def _begin(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Take the first piece before the answer begins: that it is not there can then still be said."""
    first = next((piece for piece in pieces if piece), b"")
    return chain([first], pieces)


def _span(text: str, length: int) -> tuple[int, int] | None:
    """Return the half-open range that a header asks for, perhaps an empty one; none for what is no single range."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return max(0, length - int(found[2])), length
    if found[2] and int(found[2]) < int(found[1]):
        return None
    return int(found[1]), min(length, int(found[2]) + 1) if found[2] else length


def find_output(outputs: dict[str, Blob], name: str) -> Blob:
    """Return one of an item's outputs; raises ``InputError`` ``NOT_FOUND``."""
    if name not in outputs:
        there = ", ".join(sorted(outputs))
        raise InputError(
            f"There is no output {name!r:.60}; there are {there or 'none'}", code="NOT_FOUND",
            remedy="Ask for one of those." if there else "Wait until the item is done, or rerun it.",
        )  # fmt: skip
    return outputs[name]
