"""The store on S3, or a server that speaks its language. Used through ``db.store``; needs the ``server`` extra.

Uploads of a file carry its sha256 as metadata, are multipart above 16 MB, and are checked by size after a timeout:
a request that timed out may have succeeded, and every attempt has keys of its own, so writing again is harmless.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from db.errors import InputError, StoreUnavailable, TransientError
from db.records import Blob
from db.settings import Settings
from db.store.base import Moved
from db.store.keys import check
from db.store.local import CHUNK_BYTES, check_digest, copy_and_digest

try:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore import exceptions as boto_errors
    from botocore.config import Config
except ModuleNotFoundError as _error:
    raise InputError("S3's library boto3 is not installed", code="SERVER_EXTRA_MISSING") from _error

MULTIPART_BYTES = 16 << 20
_MISSING = {"404", "NoSuchKey", "NotFound"}
_AWAY = {"500", "502", "503", "504", "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling"}


class S3Store:
    """Blobs below one prefix of one bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        """Keep blobs in ``bucket`` below ``prefix`` (empty, or without slashes at its ends)."""
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}"

    @classmethod
    def open(cls, settings: Settings) -> S3Store:
        """Connect to the bucket that the settings name, and make it if it is not there.

        Raises:
            InputError: The address names no bucket.
            StoreUnavailable: The server does not answer.
        """
        bucket, _, prefix = settings.store.removeprefix("s3://").partition("/")
        if not bucket:
            raise InputError(f"store_uri {settings.store!r} names no bucket", code="BAD_SETTING")
        store = cls(connect(settings), bucket, prefix.strip("/"))
        with _translate_errors(bucket):
            try:
                store.client.head_bucket(Bucket=bucket)
            except boto_errors.ClientError as error:
                if _code(error) not in _MISSING:
                    raise
                store.client.create_bucket(Bucket=bucket)
        return store

    def put(self, key: str, path: Path, *, moved: Moved | None = None) -> Blob:
        """See :class:`db.store.base.Store`."""
        digest = _digest(path, moved)
        size_bytes = path.stat().st_size
        with _translate_errors(key):
            self.client.upload_file(
                str(path),
                self.bucket,
                self._name(key),
                Callback=moved,
                ExtraArgs={"Metadata": {"sha256": digest}},
                # Threads of its own would call back from elsewhere and gain little behind a lossless encoder.
                Config=TransferConfig(multipart_threshold=MULTIPART_BYTES, use_threads=False),
            )
        size_in_store = self.size(key)
        if size_in_store != size_bytes:
            raise TransientError(f"Of {key} {size_in_store} bytes arrived, {size_bytes} were sent")
        return Blob(key=key, sha256=digest, bytes=size_bytes)

    def put_bytes(self, key: str, data: bytes) -> Blob:
        """See :class:`db.store.base.Store`."""
        digest = hashlib.sha256(data).hexdigest()
        with _translate_errors(key):
            self.client.put_object(Bucket=self.bucket, Key=self._name(key), Body=data, Metadata={"sha256": digest})
        return Blob(key=key, sha256=digest, bytes=len(data))

    def get(self, blob: Blob, path: Path, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        with _translate_errors(blob.key), path.open("wb") as sink:
            body = self.client.get_object(Bucket=self.bucket, Key=self._name(blob.key))["Body"]
            digest = copy_and_digest(cast(BinaryIO, body), sink, moved)
        check_digest(blob, digest)

    def read(self, blob: Blob) -> bytes:
        """See :class:`db.store.base.Store`."""
        with _translate_errors(blob.key):
            data = self.client.get_object(Bucket=self.bucket, Key=self._name(blob.key))["Body"].read()
        check_digest(blob, hashlib.sha256(data).hexdigest())
        return cast(bytes, data)

    def check(self, blob: Blob, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        self.get(blob, Path(os.devnull), moved=moved)

    def size(self, key: str) -> int | None:
        """See :class:`db.store.base.Store`."""
        with _translate_errors(key):
            try:
                return int(self.client.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"])
            except boto_errors.ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise

    def keys(self, prefix: str) -> Iterator[str]:
        """See :class:`db.store.base.Store`."""
        start = f"{self.prefix}/" if self.prefix else ""
        with _translate_errors(prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start + prefix
            ):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(start)

    def delete(self, prefix: str) -> int:
        """See :class:`db.store.base.Store`."""
        check(prefix.rstrip("/"))
        names = [self._name(key) for key in self.keys(prefix.rstrip("/") + "/")]
        with _translate_errors(prefix):
            for name in names:
                self.client.delete_object(Bucket=self.bucket, Key=name)
        return len(names)

    def local_path(self, key: str) -> Path | None:
        """See :class:`db.store.base.Store`."""
        return None

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{check(key)}" if self.prefix else check(key)


@lru_cache(maxsize=8)
def connect(settings: Settings, *, in_pieces: bool = False) -> Any:
    """Return a boto3 client for the settings' S3 server: short timeouts, three tries.

    ``in_pieces`` is for reading ranges: a server's checksum is of the whole object and would not fit any of them. A
    client keeps its connections, and threads may share it: a sequence's files need not each shake hands anew.
    """
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url or None,
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key or None,
        region_name=settings.s3_region,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if settings.s3_endpoint_url else {},
            response_checksum_validation="when_required" if in_pieces else "when_supported",
        ),
    )


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


@contextmanager
def translate_source_errors(what: str) -> Iterator[None]:
    """Translate what goes wrong with a source, which is not ours and may be anything.

    Raises:
        InputError: ``FILE_MISSING``, ``SOURCE_DENIED`` or ``SOURCE_ARCHIVED``, naming ``what``.
        StoreUnavailable: The server does not answer.
    """
    with _translate_errors(what), _translate_refusals(what):
        yield


@contextmanager
def _translate_refusals(what: str) -> Iterator[None]:
    try:
        yield
    except boto_errors.ClientError as error:
        code = _code(error)
        if code in _MISSING or code in {"NoSuchBucket", "NoSuchVersion", "InvalidBucketName"}:
            raise InputError(f"{what}: there is no such object or bucket", code="FILE_MISSING") from error
        if code in {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
            raise InputError(f"{what}: not readable with these keys ({code})", code="SOURCE_DENIED") from error
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


def _digest(path: Path, moved: Moved | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(CHUNK_BYTES):
            digest.update(piece)
            if moved:
                moved(0)
    return digest.hexdigest()


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _translate_errors(key: str) -> Iterator[None]:
    try:
        yield
    except boto_errors.ClientError as error:
        code = _code(error)
        if code in _MISSING or code == "NoSuchBucket":
            raise InputError(f"Blob {key} is not in the store", code="BLOB_MISSING") from error
        if code in _AWAY:
            raise StoreUnavailable(f"The store does not answer: {code}") from error
        raise TransientError(f"The store refused {key}: {code}") from error
    except boto3.exceptions.S3UploadFailedError as error:
        raise StoreUnavailable(f"The upload of {key} broke off: {error}") from error
    except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError) as error:
        raise InputError("There are no S3 credentials", code="BAD_SETTING") from error
    except (boto_errors.BotoCoreError, boto_errors.HTTPClientError, OSError) as error:
        raise StoreUnavailable(f"The store does not answer: {error}") from error
