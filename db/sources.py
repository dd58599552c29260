"""Users' sources in S3: listed, fetched whole, or read where somebody asks.

They are not ours and may be anything; what is ours lies behind ``db.store``.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from db.errors import InputError
from db.s3 import MISSING, boto_errors, connect, error_code, translate_errors
from db.settings import Settings
from db.store.base import Moved
from db.store.local import copy_and_digest

PIECE_BYTES = 1 << 20
"""What one request fetches: beside a server's delay it costs little, and a frame is often in one."""
KEPT_PIECES = 24


class ObjectSummary(NamedTuple):
    """One object that a listing names."""

    key: str
    bytes: int
    etag: str
    """Changes with the object."""
    storage_class: str
    """``STANDARD``, ``GLACIER`` …; empty when the server says nothing, or when the object has been restored."""


def list_objects(settings: Settings, uri: str) -> Iterator[ObjectSummary]:
    """Yield the objects below ``s3://bucket/prefix``, page by page; the prefix is a folder's or one object's whole key.

    Raises:
        InputError: There is no such bucket (``FILE_MISSING``), or it may not be listed (``SOURCE_DENIED``).
        StoreUnavailable: The server does not answer.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    folder = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    with translate_source_errors(uri):
        pages = connect(settings).get_paginator("list_objects_v2")
        for page in pages.paginate(
            Bucket=bucket, Prefix=prefix.rstrip("/"), OptionalObjectAttributes=["RestoreStatus"]
        ):
            for entry in page.get("Contents", []):
                if entry["Key"] == prefix or entry["Key"].startswith(folder):
                    is_restored = "RestoreExpiryDate" in entry.get("RestoreStatus", {})
                    storage_class = "" if is_restored else str(entry.get("StorageClass", ""))
                    yield ObjectSummary(entry["Key"], int(entry["Size"]), str(entry.get("ETag", "")), storage_class)


def fetch_source(settings: Settings, uri: str, path: Path, moved: Moved | None = None, *, version_id: str = "") -> None:
    """Download the source at ``s3://bucket/key`` into ``path``, all of it or nothing.

    Args:
        settings: How to reach the server.
        uri: The object.
        path: Where it goes.
        moved: Told of every piece.
        version_id: Which version of it; empty takes the newest.

    Raises:
        InputError: ``FILE_MISSING``, ``SOURCE_DENIED``, or ``SOURCE_ARCHIVED``.
        StoreUnavailable: The server does not answer.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    part = path.with_name(f".{path.name}.part")
    version = {"VersionId": version_id} if version_id else {}
    with translate_source_errors(f"{uri} (version {version_id})" if version else uri):
        body = connect(settings).get_object(Bucket=bucket, Key=key, **version)["Body"]
        with part.open("wb") as sink:
            copy_and_digest(cast(BinaryIO, body), sink, moved)
    part.replace(path)


class Ranges(io.RawIOBase):
    """``s3://bucket/key``, opened for reading and seeking.

    Only the pieces that somebody reads are fetched, a few of them are kept, and every piece must be of the object that
    was opened: one that changed meanwhile is no longer the source.
    """

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


@contextmanager
def translate_source_errors(what: str) -> Iterator[None]:
    """Translate what goes wrong with a source, which is not ours and may be anything.

    Raises:
        InputError: ``FILE_MISSING``, ``SOURCE_DENIED`` or ``SOURCE_ARCHIVED``, naming ``what``.
        StoreUnavailable: The server does not answer.
    """
    with translate_errors(what), _translate_refusals(what):
        yield


@contextmanager
def _translate_refusals(what: str) -> Iterator[None]:
    try:
        yield
    except boto_errors.ClientError as error:
        code = error_code(error)
        if code in MISSING or code in {"NoSuchBucket", "NoSuchVersion", "InvalidBucketName"}:
            raise InputError(f"{what}: there is no such object or bucket", code="FILE_MISSING") from error
        if code in {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
            message, remedy = (
                f"{what}: not readable with these keys ({code})",
                "Give these keys the right to read there.",
            )
            raise InputError(message, code="SOURCE_DENIED", remedy=remedy) from error
        if code in {"412", "PreconditionFailed", "416", "InvalidRange"}:
            message = f"{what}: another object lies there than the one that was opened"
            raise InputError(message, code="CHANGED_DURING_WORK") from error
        if code == "InvalidObjectState":
            raise InputError(f"{what}: it must be restored from its storage class", code="SOURCE_ARCHIVED") from error
        if code in {"400", "InvalidArgument"}:
            raise InputError(f"{what}: the server knows no such object or version", code="FILE_MISSING") from error
        raise
    except boto_errors.ParamValidationError as error:
        raise InputError(f"{what}: not the name of a bucket and an object", code="FILE_MISSING") from error
