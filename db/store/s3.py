"""The store on S3, or a server that speaks its language. Used through ``db.store``; needs the ``server`` extra.

Uploads of a file carry its sha256 as metadata, are multipart above 16 MB, and are checked by size after a timeout:
a request that timed out may have succeeded, and every attempt has keys of its own, so writing again is harmless.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from db.errors import InputError, TransientError
from db.records import Blob
from db.s3 import MISSING, TransferConfig, boto_errors, connect, error_code, translate_errors
from db.settings import Settings
from db.store.base import Moved
from db.store.keys import check
from db.store.local import CHUNK_BYTES, check_digest, copy_and_digest

MULTIPART_BYTES = 16 << 20


class S3Store:
    """Blobs below one prefix of one bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str, client_for_ranges: Any = None) -> None:
        """Keep blobs in ``bucket`` below ``prefix`` (empty, or without slashes at its ends)."""
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.client_for_ranges = client_for_ranges or client
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
        store = cls(connect(settings), bucket, prefix.strip("/"), connect(settings, in_pieces=True))
        with translate_errors(bucket):
            try:
                store.client.head_bucket(Bucket=bucket)
            except boto_errors.ClientError as error:
                if error_code(error) not in MISSING:
                    raise
                store.client.create_bucket(Bucket=bucket)
        return store

    def put(self, key: str, path: Path, *, moved: Moved | None = None, mode: int = 0o444) -> Blob:
        """See :class:`db.store.base.Store`."""
        digest = _digest(path, moved)
        size_bytes = path.stat().st_size
        with translate_errors(key):
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

    def put_bytes(self, key: str, data: bytes, *, mode: int = 0o444) -> Blob:
        """See :class:`db.store.base.Store`."""
        digest = hashlib.sha256(data).hexdigest()
        with translate_errors(key):
            self.client.put_object(Bucket=self.bucket, Key=self._name(key), Body=data, Metadata={"sha256": digest})
        return Blob(key=key, sha256=digest, bytes=len(data))

    def get(self, blob: Blob, path: Path, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        with translate_errors(blob.key), path.open("wb") as sink:
            body = self.client.get_object(Bucket=self.bucket, Key=self._name(blob.key))["Body"]
            digest = copy_and_digest(cast(BinaryIO, body), sink, moved)
        check_digest(blob, digest)

    def read(self, blob: Blob) -> bytes:
        """See :class:`db.store.base.Store`."""
        with translate_errors(blob.key):
            data = self.client.get_object(Bucket=self.bucket, Key=self._name(blob.key))["Body"].read()
        check_digest(blob, hashlib.sha256(data).hexdigest())
        return cast(bytes, data)

    def stream(self, blob: Blob, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See :class:`db.store.base.Store`."""
        span = f"bytes={start}-{(blob.bytes if stop is None else stop) - 1}"
        with translate_errors(blob.key):
            answer = self.client_for_ranges.get_object(Bucket=self.bucket, Key=self._name(blob.key), Range=span)
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

    def check(self, blob: Blob, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        self.get(blob, Path(os.devnull), moved=moved)

    def size(self, key: str) -> int | None:
        """See :class:`db.store.base.Store`."""
        with translate_errors(key):
            try:
                return int(self.client.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"])
            except boto_errors.ClientError as error:
                if error_code(error) in MISSING:
                    return None
                raise

    def keys(self, prefix: str) -> Iterator[str]:
        """See :class:`db.store.base.Store`."""
        for key, _ in self.sizes(prefix):
            yield key

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`db.store.base.Store`."""
        start = f"{self.prefix}/" if self.prefix else ""
        with translate_errors(prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start + prefix
            ):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(start), entry["Size"]

    def delete(self, prefix: str) -> int:
        """See :class:`db.store.base.Store`."""
        check(prefix.rstrip("/"))
        names = [self._name(key) for key in self.keys(prefix.rstrip("/") + "/")]
        with translate_errors(prefix):
            for name in names:
                self.client.delete_object(Bucket=self.bucket, Key=name)
        return len(names)

    def remove(self, key: str) -> None:
        """See :class:`db.store.base.Store`."""
        with translate_errors(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def local_path(self, key: str) -> Path | None:
        """See :class:`db.store.base.Store`."""
        return None

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{check(key)}" if self.prefix else check(key)


def _digest(path: Path, moved: Moved | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(CHUNK_BYTES):
            digest.update(piece)
            if moved:
                moved(0)
    return digest.hexdigest()
