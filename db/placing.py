"""Puts files where people want them, and never in place of what is theirs.

What stands at a place is told by its device and inode, so that neither letter case nor links deceive. It makes way only
if it is a file of the store under another name, or has the bytes of something that this home is known to have made: an
output in the records, or a file whose digest was noted in the home when it was put somewhere. An edited report has
other bytes, and stays.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from db.errors import InputError, TransientError, lacks_room, os_error

LIST_NAME = "placed-files"
"""In the home: sha256 of each file that was put somewhere and is no output of a job, a line each."""
_DIGEST = re.compile(r"[0-9a-f]{64}\n", re.ASCII)


class PutError(InputError):
    """Some of several files could not be put in their places; all others were."""

    def __init__(self, errors: Sequence[tuple[str, InputError]], outcome: Any) -> None:
        """Take the code and the remedy of the first; ``outcome`` is what would have been returned."""
        first = errors[0][1]
        more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
        super().__init__(f"{errors[0][0]}: {first.message}{more}", code=first.code, remedy=first.remedy)
        self.outcome = outcome


class Placer:
    """Puts files in their places. What it has to know of a home is asked when something stands at a place."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        sources: Callable[[], Iterable[str]] = tuple,
        folders: Callable[[], Iterable[str]] = tuple,
        made: Callable[[], Iterable[str]] = tuple,
        blobs: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Note down where to ask.

        Args:
            home: Where digests are noted; none notes nothing, and then only outputs are known as our own.
            sources: Paths that are only read.
            folders: Folders into which nothing is put, as their files are frames.
            made: sha256 of what this home made.
            blobs: Paths of the same in the store; a result may be a link to one that rotted.
        """
        self._list = home / LIST_NAME if home else None
        self._ask_sources, self._ask_folders, self._ask_made, self._ask_blobs = sources, folders, made, blobs

    @cached_property
    def _sources(self) -> frozenset[int]:
        return frozenset(_identities(self._ask_sources()))

    @cached_property
    def _folders(self) -> frozenset[int]:
        return frozenset(_identities(self._ask_folders()))

    @cached_property
    def _blobs(self) -> frozenset[int]:
        return frozenset(_identities(self._ask_blobs()))

    @cached_property
    def _made(self) -> set[bytes]:
        known = {bytes.fromhex(digest) for digest in self._ask_made()}
        if self._list is not None and self._list.is_file():
            with self._list.open(encoding="ascii", errors="replace") as lines:
                known |= {bytes.fromhex(line) for line in lines if _DIGEST.fullmatch(line)}
        return known

    def check(self, target: str) -> None:
        """Make sure that a file may be put at ``target``.

        Raises:
            InputError: ``OUTPUT_ON_SOURCE`` for a source, or a place among frames of one; ``ALREADY_THERE``.
        """
        self.check_folder(os.path.dirname(target))
        if os.path.lexists(target):
            self._check_there(target, fresh_digest="")

    def check_folder(self, folder: str) -> None:
        """Make sure that a folder holds no frames of a source; raises ``OUTPUT_ON_SOURCE``."""
        there = _status(folder or ".")
        if there is not None and _identity(there) in self._folders:
            raise InputError(f"{folder!r:.300} holds frames of a source", code="OUTPUT_ON_SOURCE")

    @contextmanager
    def fresh_name(self, target: str) -> Iterator[str]:
        """Give a name in the target's folder that nobody has and nobody can guess; what is left there goes at the end.

        Raises:
            InputError: As :meth:`check_folder`, or ``NO_SPACE`` and ``PATH_UNUSABLE`` where it cannot be written.
        """
        folder = os.path.dirname(target)
        with _translate_errors(target):
            self.check_folder(folder)
            os.makedirs(folder or ".", exist_ok=True)
            name = os.path.join(folder, f".reelwright-{secrets.token_hex(8)}")
            try:
                yield name
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name)

    def put(self, fresh: str, target: str, *, sha256: str = "") -> None:
        """Put what was made under a fresh name in its place, whole or not at all.

        Args:
            fresh: From :meth:`fresh_name`.
            target: Its place.
            sha256: Digest of an output, which the records know; of any other file it is computed, and noted.

        Raises:
            InputError: As :meth:`check`.
        """
        digest = sha256 or file_digest(fresh)
        if not os.path.lexists(target):
            self._note("" if sha256 else digest)
            if _put_at_free_place(fresh, target):
                return
        if os.path.samestat(os.lstat(fresh), os.lstat(target)) or self._check_there(target, digest):
            return
        self._note("" if sha256 else digest)
        os.replace(fresh, target)

    def write(self, target: str, data: bytes) -> None:
        """Put a small file in its place; raises as :meth:`fresh_name` and :meth:`put`."""
        with self.fresh_name(target) as fresh:
            with open(create(fresh), "wb") as file:
                file.write(data)
            self.put(fresh, target)

    def remove(self, target: str) -> bool:
        """Remove a file that is our own; returns whether none is there now."""
        if not os.path.lexists(target):
            return True
        try:
            self.check(target)
        except InputError:
            return False
        os.unlink(target)
        return True

    def _check_there(self, target: str, fresh_digest: str) -> bool:
        """Raise for what may not make way; returns whether it has the same bytes already."""
        there = os.lstat(target)
        led_to = _status(target) or there
        if not self._sources.isdisjoint((_identity(there), _identity(led_to))):
            raise InputError(f"{target!r:.300} is a source", code="OUTPUT_ON_SOURCE")
        try:
            digest = file_digest(target) if stat.S_ISREG(there.st_mode) else ""
        except OSError:  # it may not be read
            digest = ""
        if digest and digest == fresh_digest:
            return True
        is_ours = digest and (bytes.fromhex(digest) in self._made or _identity(there) in self._blobs)
        if not is_ours:
            raise InputError(f"{target!r:.300} is there already and not known as ours", code="ALREADY_THERE")
        return False

    def _note(self, digest: str) -> None:
        """Write a digest down before the file is in its place, so that none is ever there unknown; none for outputs."""
        if digest and self._list is not None:
            _append(self._list, f"{digest}\n")
        if digest and "_made" in self.__dict__:  # else it is read with the others
            self._made.add(bytes.fromhex(digest))


def create(path: str, mode: int = 0o666) -> int:
    """Create a file for writing where nothing may be yet, not even a link; returns its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def file_digest(path: str) -> str:
    """Return the sha256 of a plain file; a link is not followed, and nothing is waited for.

    Raises:
        OSError: It cannot be read, or is a link.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(notes: Path, line: str) -> None:
    """Add a line to a home's notes. A home that may only be read gets none: its results can be put out nevertheless."""
    try:
        notes.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with notes.open("a", encoding="ascii") as file:
            file.write(line)
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise os_error("The home", error) from error


def _put_at_free_place(fresh: str, target: str) -> bool:
    """Give a file its name if nothing is there; a link is made, as renaming would replace what came meanwhile."""
    try:
        os.link(fresh, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without links
        if os.path.lexists(target):
            return False
        os.rename(fresh, target)
    return True


def _identities(paths: Iterable[str]) -> Iterator[int]:
    for path in paths:
        there = _status(path)
        if there is not None:
            yield _identity(there)


def _identity(there: os.stat_result) -> int:
    """Return device and inode as one number: a million of them fit into memory."""
    return there.st_dev << 64 | there.st_ino


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


@contextmanager
def _translate_errors(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = "NO_SPACE" if lacks_room(error) else "PATH_UNUSABLE"
        raise _unwritten(target, str(error.strerror), code) from error
    except TransientError as error:
        if error.code != "NO_SPACE":
            raise
        raise _unwritten(target, error.message, error.code) from error


def _unwritten(target: str, why: str, code: str) -> InputError:
    remedy = "Free some space there, or give" if code == "NO_SPACE" else "Give"
    return InputError(
        f"{target!r:.300} cannot be written: {why}", code=code, remedy=f"{remedy} another place with --out."
    )
