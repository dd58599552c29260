"""The store as a folder: write to a temporary name, flush, rename. Used through ``db.store``."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from db.errors import CODES, InputError, StoreUnavailable, TransientError, lacks_room
from db.records import Blob
from db.settings import Settings
from db.store.base import Moved
from db.store.keys import check

CHUNK_BYTES = 1 << 20
_PART = re.compile(r"\.[0-9a-f]{16}\.part")
"""What a blob is called until it is whole."""
ROTTEN = CODES["BLOB_MISSING"].remedy
"""What to do about a blob that is not what its record says: the same as about one that is gone."""


class LocalStore:
    """Blobs as read-only files below one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep blobs below ``folder``, which is made on the first write."""
        self.folder = folder.resolve()
        self.uri = str(self.folder)

    @classmethod
    def open(cls, settings: Settings) -> LocalStore:
        """Open the folder that the settings name."""
        return cls(Path(settings.store.removeprefix("file://")))

    def put(self, key: str, path: Path, *, moved: Moved | None = None, mode: int = 0o444) -> Blob:
        """See :class:`db.store.base.Store`."""
        with path.open("rb") as source:
            return self._write(key, lambda sink: copy_and_digest(source, sink, moved), mode)

    def put_bytes(self, key: str, data: bytes, *, mode: int = 0o444) -> Blob:
        """See :class:`db.store.base.Store`."""

        def write(sink: BinaryIO) -> str:
            sink.write(data)
            return hashlib.sha256(data).hexdigest()

        return self._write(key, write, mode)

    def get(self, blob: Blob, path: Path, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        with (
            _translate_errors(blob.key, room=f"in {path.parent}"),
            self._path(blob.key).open("rb") as source,
            path.open("wb") as sink,
        ):
            check_digest(blob, copy_and_digest(source, sink, moved))

    def read(self, blob: Blob) -> bytes:
        """See :class:`db.store.base.Store`."""
        with _translate_errors(blob.key):
            data = self._path(blob.key).read_bytes()
        check_digest(blob, hashlib.sha256(data).hexdigest())
        return data

    def stream(self, blob: Blob, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See :class:`db.store.base.Store`."""
        left = (blob.bytes if stop is None else stop) - start
        with _translate_errors(blob.key), self._path(blob.key).open("rb") as source:
            source.seek(start)
            while left > 0 and (chunk := source.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk

    def check(self, blob: Blob, *, moved: Moved | None = None) -> None:
        """See :class:`db.store.base.Store`."""
        with _translate_errors(blob.key), self._path(blob.key).open("rb") as source, open(os.devnull, "wb") as sink:
            check_digest(blob, copy_and_digest(source, sink, moved))

    def size(self, key: str) -> int | None:
        """See :class:`db.store.base.Store`."""
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        """See :class:`db.store.base.Store`."""
        for key, _ in self._entries(prefix):
            yield key

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`db.store.base.Store`."""
        for key, entry in self._entries(prefix):
            with suppress(FileNotFoundError):  # removed meanwhile
                yield key, entry.stat().st_size

    def _entries(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        start = len(f"{self.folder}/")
        for entry in _files(str(self.folder / prefix.rpartition("/")[0])):
            key = entry.path[start:]
            if key.startswith(prefix) and not entry.name.startswith("."):
                yield key, entry

    def delete(self, prefix: str) -> int:
        """See :class:`db.store.base.Store`."""
        folder = self._path(prefix.rstrip("/"))
        count = sum(len(names) for _, _, names in os.walk(folder))
        shutil.rmtree(folder, ignore_errors=True)
        return count

    def remove(self, key: str) -> None:
        """See :class:`db.store.base.Store`."""
        path = self._path(key)
        with _translate_errors(key, is_there=False):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # folders are left that hold more
            for folder in path.parents[: key.count("/")]:
                folder.rmdir()

    def remove_parts(self) -> None:
        """Remove what writers left that were killed; nobody may be writing."""
        for entry in _files(str(self.folder)):
            if _PART.fullmatch(entry.name):
                os.unlink(entry.path)

    def local_path(self, key: str) -> Path | None:
        """See :class:`db.store.base.Store`."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self.folder / check(key)

    def _write(self, key: str, write: Callable[[BinaryIO], str], mode: int) -> Blob:
        path = self._path(key)
        with _translate_errors(key, is_there=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{secrets.token_hex(8)}.part")
            # Born with its rights: the kernel takes those away that the umask forbids, and it is never wider.
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            try:
                with open(number, "wb") as sink:
                    digest = write(sink)
                    sink.flush()
                    os.fsync(number)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return Blob(key=key, sha256=digest, bytes=path.stat().st_size)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield all files below a folder, one by one: `os.walk` makes a list of a job's million folders first."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry


def copy_and_digest(source: BinaryIO, sink: BinaryIO, moved: Moved | None) -> str:
    """Copy in pieces of a megabyte, telling ``moved``; returns the sha256 hex digest."""
    digest = hashlib.sha256()
    while piece := source.read(CHUNK_BYTES):
        digest.update(piece)
        sink.write(piece)
        if moved:
            moved(len(piece))
    return digest.hexdigest()


def check_digest(blob: Blob, digest: str) -> None:
    """Make sure that what was read is what the record says.

    Raises:
        InputError: ``CHECKSUM_MISMATCH``.
    """
    if digest != blob.sha256:
        message = f"Blob {blob.key}: its record says sha256 {blob.sha256}, it has {digest}"
        raise InputError(message, code="CHECKSUM_MISMATCH", remedy=ROTTEN)


@contextmanager
def _translate_errors(key: str, room: str = "in the store", *, is_there: bool = True) -> Iterator[None]:
    """Name what the system refuses: whose ``room`` may be used up, and whether the blob should be there."""
    try:
        yield
    except OSError as error:
        if is_there and isinstance(error, FileNotFoundError):
            raise InputError(f"Blob {key} is not in the store", code="BLOB_MISSING") from error
        if lacks_room(error):
            raise TransientError(f"No space left {room} for {key}", code="NO_SPACE") from error
        if error.errno in {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT}:
            raise StoreUnavailable(f"The store's folder does not answer: {error.strerror}") from error
        raise TransientError(f"The store refused {key}: {error.strerror}") from error
