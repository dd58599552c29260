"""Sources: where they lie, whether they may be read, and their fixity.

Sources are opened read-only and never written.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from db import beneath, checksums
from db.beneath import S3
from db.checksums import Digests
from db.errors import InputError
from db.local_paths import disk_path
from db.records import Source
from db.settings import Settings
from db.store.base import Moved
from db.store.keys import safe_name
from workers.media.local import HeldFile, LocalFolder, hold, show
from workers.media.remote import Place, RemoteFile, RemoteFolder, as_film
from workers.workbench import Workbench

BLOCK_BYTES = 1 << 20


def local_still(source: Source, settings: Settings, scratch: Path, on_bytes: Moved | None = None) -> HeldFile:
    """Return the file of a still, held; one in S3 is fetched into ``scratch`` first.

    Raises:
        InputError: ``FILE_MISSING``, ``NOT_A_FILE``, ``ZERO_BYTE``, ``SOURCE_DENIED`` or ``PATH_UNSAFE``.
        StoreUnavailable: S3 does not answer.
    """
    if not source.uri.startswith(S3):
        return _hold_file(source, scratch)
    _check_address(source)
    from db.sources import fetch_source  # boto3 is only there, and only needed, where sources lie in S3

    path = scratch / f"source-{safe_name(source.uri.rpartition('/')[2])}"
    if not path.exists():
        fetch_source(settings, source.uri, path, on_bytes, version_id=source.version_id)
    return show(path, source.uri)


def locate(source: Source, settings: Settings, scratch: Path) -> Place:
    """Return where a reel is read. What lies in S3 stays there: a film is read by ranges, a sequence file by file.

    Args:
        source: The reel.
        settings: Of the S3 server.
        scratch: Where the files of a sequence may lie while they are read, and the names of what is held.

    Raises:
        InputError: ``FILE_MISSING``, ``NOT_A_FILE``, ``ZERO_BYTE``, ``SOURCE_DENIED`` or ``PATH_UNSAFE``.
    """
    if not source.uri.startswith(S3):
        if source.sequence is None:
            return _hold_file(source, scratch)
        return LocalFolder(Path(source.path), source.roots, scratch)
    _check_address(source)
    if source.sequence is not None:
        return RemoteFolder(source.uri, settings, scratch / "frames")
    return RemoteFile(source.uri, settings, source.version_id)


def locate_sound(source: Source, bench: Workbench) -> Place:
    """Return where the sound that belongs to a reel is read; raises as :func:`locate`."""
    return locate(_companion(source, source.sound), bench.settings, bench.scratch)


def locate_mask(source: Source, bench: Workbench) -> Path | LocalFolder:
    """Return where a mask that the manifest gives is read: picture, film, or folder; raises as :func:`locate`."""
    mask = _companion(source, source.mask)
    if not mask.uri.startswith(S3) and os.path.isdir(mask.path):
        return LocalFolder(Path(mask.path), mask.roots, bench.scratch)
    return local_still(mask, bench.settings, bench.scratch)


def _companion(source: Source, uri: str) -> Source:
    """Return what belongs to a source as a source under the same roots."""
    return Source(uri=uri, kind=source.kind, roots=source.roots)


def _hold_file(source: Source, scratch: Path) -> HeldFile:
    path = hold(Path(source.path), source.roots, scratch)
    check_file(path)
    return path


def _check_address(source: Source) -> None:
    if source.roots is not None and not beneath.is_beneath(source.uri, source.roots):
        raise InputError(f"{source.uri} lies beneath nothing that its job may read", code="PATH_UNSAFE")


def check_file(path: Path) -> int:
    """Return a file's size in bytes once it is sure that it can be read; raises as :func:`local_still`."""
    try:
        facts = path.stat()
    except PermissionError as error:
        raise InputError(f"{path}: its folder may not be entered", code="SOURCE_DENIED") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no such file", code="FILE_MISSING") from error
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path}: not a regular file", code="NOT_A_FILE")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: not readable by this worker", code="SOURCE_DENIED")
    if facts.st_size == 0:
        raise InputError(f"{path}: the file is empty", code="ZERO_BYTE")
    return facts.st_size


def fixity(
    paths: Iterable[Place],
    expected: Digests,
    advance: Callable[[], None],
    *,
    size_bytes: int | None = None,
    listed: Mapping[str, Digests] | None = None,
    each: Callable[[int], AbstractContextManager[None]] = lambda place: nullcontext(),
) -> str:
    """Stream all files in order and return the sha256 hex digest over them.

    Args:
        paths: The files; more than one for a sequence.
        expected: Algorithm to hex digest over all of them, as the manifest gives them; each one is checked.
        advance: Called for every megabyte.
        size_bytes: Their size as the manifest gives it; none when it does not.
        listed: Digests of the single files by their names, each of which is checked; every file must be among them.
        each: Given the place of a file among them, what its digests are looked up and compared in.

    Raises:
        InputError: ``CHECKSUM_MISMATCH`` or ``FILE_UNEXPECTED`` with the file's name, ``BAD_VALUE`` for an unknown
            algorithm, or a file cannot be read.
    """
    whole = _new_hashers({*expected, "sha256"})
    last, size = None, 0
    for place, path in enumerate(paths):
        last = path
        digests: Digests = {}
        with each(place):
            digests = _digests_for(path, listed) if listed is not None else {}
        alone = _new_hashers(digests)
        for block in _blocks(path):
            size += len(block)
            for running in (*whole.values(), *alone.values()):
                running.update(block)
            advance()
        with each(place):
            _check_digests(path, alone, digests)
    if size_bytes not in (None, size):
        message = f"{last}: {size} bytes were read, the manifest says {size_bytes}"
        raise InputError(message, code="CHECKSUM_MISMATCH")
    _check_digests(last, whole, expected)
    return str(whole["sha256"].hexdigest())


def _digests_for(path: Place, digests: Mapping[str, Digests]) -> Digests:
    name = disk_path(str(path)).rpartition("/")[2]
    if name not in digests:
        raise InputError(f"{path}: the list of its sequence's digests does not name it", code="FILE_UNEXPECTED")
    return digests[name]


def _new_hashers(names: Iterable[str]) -> dict[str, Any]:
    """Begin a digest for each algorithm, by the name that was given."""
    hashers = {}
    for name in names:
        algorithm = checksums.algorithm(name)
        if algorithm is None:
            raise InputError(f"Checksum algorithm {name!r:.40} is not known", code="BAD_VALUE")
        hashers[name] = hashlib.new(algorithm, usedforsecurity=False)
    return hashers


def _check_digests(path: Place | None, sums: Mapping[str, Any], expected: Digests) -> None:
    for name, digest in expected.items():
        actual = sums[name].hexdigest()
        if actual != digest.strip().lower():
            raise InputError(f"{path}: {name} is {actual}, the manifest says {digest}", code="CHECKSUM_MISMATCH")


def _blocks(path: Place) -> Iterable[bytes]:
    try:
        with as_film(path).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except PermissionError as error:
        raise InputError(f"{path}: not readable by this worker", code="SOURCE_DENIED") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", code="FILE_MISSING") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read to the end ({error.strerror})", code="CORRUPT") from error
