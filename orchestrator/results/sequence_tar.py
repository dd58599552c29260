"""Takes the files of a restored image sequence out of the tar files that hold them.

A tar file comes out of the store, and the store may have been tampered with: nothing in it but plain files with plain
names of their own is taken out, and nothing lands anywhere but in the folder that was asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from db.errors import InputError
from db.records import Blob
from db.store.base import Store
from db.store.local import CHUNK_BYTES

_OUTPUT = re.compile(r"sequence-\d{6,}")
_MAX_NAME_BYTES = 255
_MAX_FILES = 1_000_000

FileOpener = Callable[[str], AbstractContextManager[BinaryIO]]


def is_part(output: str) -> bool:
    """Whether an item's output is a tar file of a sequence's files."""
    return bool(_OUTPUT.fullmatch(output))


def unpack(store: Store, blob: Blob, folder: str, open_file: FileOpener) -> int:
    """Put the files of one tar file into a folder; returns how many.

    Args:
        store: Where the tar file lies; its digest is compared first.
        blob: The tar file.
        folder: Where the files go.
        open_file: Called with the place of each; it gives a file to write to, raises for a place where nothing may be
            written, and puts the file there when it is whole.

    Raises:
        InputError: ``CORRUPT`` for a file that is no such tar file or ends early, ``PATH_UNSAFE`` for a member that is
            no plain file or has no plain name, as ``Store.get``, or what ``open_file`` raises.
    """
    with _local_copy(store, blob) as path:
        count = 0
        try:
            with tarfile.open(path, "r:") as tar:
                for member in _members(tar, blob):
                    with open_file(os.path.join(folder, member.name)) as file:
                        _write_member(tar, member, file, blob)
                    count += 1
        except tarfile.TarError as error:
            raise InputError(f"{blob.key} is no tar file of a sequence: {error}", code="CORRUPT") from error
    return count


def members(store: Store, blob: Blob) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Yield name, size and bytes, piece by piece, of each file of one tar file; raises as :func:`unpack`."""
    with _local_copy(store, blob) as path:
        try:
            with tarfile.open(path, "r:") as tar:
                for member in _members(tar, blob):
                    yield member.name, member.size, _pieces(tar, member, blob)
        except tarfile.TarError as error:
            raise InputError(f"{blob.key} is no tar file of a sequence: {error}", code="CORRUPT") from error


def _pieces(tar: tarfile.TarFile, member: tarfile.TarInfo, blob: Blob) -> Iterator[bytes]:
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    left = member.size
    while piece := source.read(min(CHUNK_BYTES, left)):
        left -= len(piece)
        yield piece
    if left:
        raise InputError(f"{blob.key} ends inside {member.name!r:.100}", code="CORRUPT")


def member_digests(store: Store, blob: Blob) -> Iterator[tuple[str, str]]:
    """Yield name and sha256 of each file of one tar file; raises as :func:`unpack`."""
    with _local_copy(store, blob) as path:
        try:
            with tarfile.open(path, "r:") as tar:
                for member in _members(tar, blob):
                    source = tar.extractfile(member)
                    assert source is not None  # it is a regular file
                    yield member.name, hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
        except tarfile.TarError as error:
            raise InputError(f"{blob.key} is no tar file of a sequence: {error}", code="CORRUPT") from error


@contextmanager
def _local_copy(store: Store, blob: Blob) -> Iterator[Path]:
    """Give the tar file as a local path, its digest compared: the store's own file, or a copy that goes at the end."""
    local_path = store.local_path(blob.key)
    if local_path is not None:
        store.check(blob)
        yield local_path
        return
    with TemporaryDirectory(prefix="reelwright-get-") as scratch:
        path = Path(scratch) / "part.tar"
        store.get(blob, path)
        yield path


def _members(tar: tarfile.TarFile, blob: Blob) -> Iterator[tarfile.TarInfo]:
    """Yield the members once each is known to be harmless; they are read one by one, not listed first."""
    names: set[str] = set()
    for member in tar:
        if not member.isreg() or member.issparse() or not _is_plain_name(member.name) or member.name in names:
            raise InputError(
                f"{blob.key} holds {member.name!r:.100}, which is no plain file of its own", code="PATH_UNSAFE"
            )
        if member.size > blob.bytes or len(names) >= _MAX_FILES:
            raise InputError(f"{blob.key} claims to hold more than it has bytes", code="CORRUPT")
        names.add(member.name)
        yield member


def _is_plain_name(name: str) -> bool:
    return (
        name not in {"", ".", ".."}
        and name.isprintable()
        and "/" not in name
        and "\\" not in name
        and len(name.encode(errors="surrogatepass")) <= _MAX_NAME_BYTES
    )


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, file: BinaryIO, blob: Blob) -> None:
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    with source:
        shutil.copyfileobj(source, file, 1 << 20)
    if file.tell() != member.size:
        raise InputError(f"{blob.key} ends inside {member.name!r:.100}", code="CORRUPT")
