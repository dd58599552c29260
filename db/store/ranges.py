"""A source in S3 as a file that is read where it is asked for.

Only the pieces that somebody reads are fetched, a few of them are kept, and every piece must be of the object that was
opened: one that changed meanwhile is no longer the source.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

from db.errors import InputError
from db.settings import Settings
from db.store.s3 import connect, translate_source_errors

PIECE_BYTES = 1 << 20
"""What one request fetches: beside a server's delay it costs little, and a frame is often in one."""
KEPT_PIECES = 24


class Ranges(io.RawIOBase):
    """``s3://bucket/key``, opened for reading and seeking."""

    def __init__(self, settings: Settings, uri: str, version_id: str = "") -> None:
        """Ask for the object's size.

        Args:
            settings: Of the S3 server.
            uri: ``s3://bucket/key``.
            version_id: Of one version of the object; empty takes the newest.

        Raises:
            InputError: ``FILE_MISSING``, ``SOURCE_DENIED`` or ``ZERO_BYTE``.
            StoreUnavailable: The server does not answer.
        """
        self.name = uri
        self._client = connect(settings, in_pieces=True)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self._object: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if version_id:
            self._object["VersionId"] = version_id
        with translate_source_errors(uri):
            head = self._client.head_object(**self._object)
        self.size_bytes, self._etag = int(head["ContentLength"]), str(head["ETag"])
        if self.size_bytes == 0:
            raise InputError(f"{uri}: the object is empty", code="ZERO_BYTE")
        self._position = 0
        self._pieces: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; nothing is fetched."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill what lies within one piece; raises ``InputError`` ``CHANGED_DURING_WORK`` if the object is another."""
        number, inside = divmod(self._position, PIECE_BYTES)
        if self._position >= self.size_bytes:
            return 0
        part = self._piece(number)[inside : inside + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _piece(self, number: int) -> bytes:
        if number in self._pieces:
            self._pieces.move_to_end(number)
            return self._pieces[number]
        first = number * PIECE_BYTES
        last = min(first + PIECE_BYTES, self.size_bytes) - 1
        with translate_source_errors(self.name):
            answer = self._client.get_object(**self._object, Range=f"bytes={first}-{last}", IfMatch=self._etag)
            piece = bytes(answer["Body"].read())
        if len(piece) != last - first + 1 or str(answer.get("ETag", self._etag)) != self._etag:
            message = f"{self.name}: another object lies there than the one that was opened"
            raise InputError(message, code="CHANGED_DURING_WORK")
        self._pieces[number] = piece
        if len(self._pieces) > KEPT_PIECES:
            self._pieces.popitem(last=False)
        return piece
