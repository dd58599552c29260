"""Opens sources: only what lies beneath the folders that a job may read from, its roots.

A path proves nothing: a link in it leads elsewhere, and a folder may be exchanged a moment after it was looked at. So a
file is taken hold of first, which neither reads nor waits; the system then says where the thing that is held lies; and
it is that thing that is read, whatever lies at its path by then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable

from db.errors import InputError
from db.local_paths import FILE, disk_path, spell

S3 = "s3://"
Roots = tuple[str, ...]
"""Real paths of folders, spelled, and ``s3://bucket/prefix`` addresses, each with a slash behind it."""
ROOTS_OPTION = "source_roots"
"""Under this name a job's options hold what its sources must lie beneath; jobs of 0.1 have none."""
_HOLD = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC
_NOWHERE = (errno.ENOENT, errno.ENOTDIR)
_GETPATH_BYTES = 1024
"""macOS: ``MAXPATHLEN`` of ``sys/param.h``."""


class OutsideRoots(PermissionError):
    """What was opened lies beneath none of the roots."""


def real_roots(roots: Iterable[str]) -> Roots:
    """Return roots as they are compared: links in the roots themselves are followed, as whoever gave them meant.

    Raises:
        InputError: ``BAD_SETTING`` for an address of another kind.
    """
    roots = tuple(roots)
    for root in roots:
        if "://" in root.removeprefix(S3).removeprefix(FILE):
            raise InputError(f"{root!r:.200} is neither a folder nor s3://bucket/prefix", code="BAD_SETTING")
    return tuple(dict.fromkeys(_with_slash(root if root.startswith(S3) else _real_root(root)) for root in roots))


def is_beneath(path: str, roots: Roots) -> bool:
    """Whether a path without links in it, or an ``s3://`` address, lies beneath one of the roots or is one."""
    if path.startswith(S3) and not {".", ".."}.isdisjoint(path.split("/")):
        return False  # some servers walk such names as folders
    return _with_slash(disk_path(path)).startswith(tuple(map(disk_path, roots)))


def hold(path: str, roots: Roots | None) -> int:
    """Take hold of what lies at a path, without reading it; returns a descriptor, to be closed.

    Args:
        path: Of a file or folder, plain or spelled; links are followed.
        roots: Where it must lie; none holds anything.

    Raises:
        OutsideRoots: It lies elsewhere.
        OSError: It is not there, or its folder may not be entered.
    """
    try:
        held = os.open(disk_path(path), _HOLD)
    except ValueError as error:  # a NUL in it
        raise FileNotFoundError(errno.ENOENT, "no such file", path) from error
    try:
        if roots is not None and not is_beneath(real := real_path(held), roots):
            raise OutsideRoots(errno.EACCES, "leads outside, to", path, None, real)
    except OSError:
        os.close(held)
        raise
    return held


def status(path: str, roots: Roots | None) -> os.stat_result:
    """Return what the disk says of a file or folder; raises as :func:`hold`."""
    held = hold(path, roots)
    try:
        return os.fstat(held)
    finally:
        os.close(held)


def open_file(path: str, roots: Roots | None) -> int:
    """Open a regular file for reading; returns a descriptor, to be closed.

    Raises:
        OutsideRoots: It lies elsewhere.
        OSError: It is not there, is no regular file (``EINVAL``), or may not be read.
    """
    held = hold(path, roots)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.open(path_of(held), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(held)


def read_small(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Read a file that is small if it is what it should be; nothing is waited for, and no more read than it may have.

    Raises:
        OSError: As :func:`open_file`, wherever it lies.
        ValueError: It has more bytes, or cannot be a path.
    """
    with open(open_file(os.fspath(path), None), "rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes")
    return data


def file_names(path: str, roots: Roots | None) -> set[str]:
    """Return the names of the files in a folder, links to files among them; raises as :func:`hold`."""
    held = hold(path, roots)
    try:
        with os.scandir(path_of(held)) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    finally:
        os.close(held)


def path_of(descriptor: int) -> str:
    """Return a path that leads to what a descriptor holds, whatever lies at its own path by now.

    It is good in this process, until the descriptor is closed. Where the system has no such paths, it is the real one.
    """
    there = f"/proc/self/fd/{descriptor}"
    return there if os.path.lexists(there) else real_path(descriptor)


def real_path(descriptor: int) -> str:
    """Return where the thing lies that a descriptor holds, without a link in it."""
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(_GETPATH_BYTES)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{descriptor}")


def source_error(path: str, error: OSError) -> InputError:
    """Return what people are told of a source that could not be opened.

    ``PATH_UNSAFE``, ``FILE_MISSING``, ``NOT_A_FILE`` or ``SOURCE_DENIED``.
    """
    path = path if "\0" in path else spell(path)
    if isinstance(error, OutsideRoots):
        return InputError(
            f"{path!r:.300} is a link that leads outside, to {spell(error.filename2)!r:.200}", code="PATH_UNSAFE"
        )
    if error.errno in _NOWHERE:
        return InputError(f"{path!r:.300} is not there", code="FILE_MISSING")
    if error.errno == errno.EINVAL:
        return InputError(f"{path!r:.300} is not a regular file", code="NOT_A_FILE")
    return InputError(f"{path!r:.300}: {error.strerror}", code="SOURCE_DENIED")


def _real_root(root: str) -> str:
    return spell(os.path.realpath(disk_path(root)))


def _with_slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"
