"""Sources on this machine, taken hold of beneath the roots of their job.

Libraries open files by name. The name that they are given here leads to what was opened and checked, not to whatever
lies at the source's own path by then.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from db import beneath
from db.beneath import Roots
from db.errors import InputError
from db.local_paths import encode, is_text, spell
from db.store.keys import safe_name

_Path = type(Path())
_SCRATCH_NAME_CHARS = 96


class HeldFile(_Path):  # type: ignore[valid-type, misc]
    """A path that is shown as the source's own, and opens what was held; good for as long as it is kept."""

    shown = ""
    """The source's own path as it is spelled, or its address."""

    def __str__(self) -> str:
        """Return the source's own path, as messages name it."""
        return self.shown or str(super().__str__())

    def __fspath__(self) -> str:
        """Return what opens."""
        return str(super().__str__())


def hold(path: Path, roots: Roots | None, scratch: Path) -> HeldFile:
    """Take hold of a regular file beneath the roots, and return a name for it in ``scratch``.

    Raises:
        InputError: ``FILE_MISSING``, ``SOURCE_DENIED``, ``NOT_A_FILE``, or ``PATH_UNSAFE`` when it lies
            beneath none of the roots.
    """
    try:
        descriptor = beneath.open_file(str(path), roots)
    except OSError as error:
        raise beneath.source_error(str(path), error) from error
    return _name(descriptor, path.name, spell(str(path)), scratch)


def show(path: Path, shown: str) -> HeldFile:
    """Return a file of ours under the name of the source that it is a copy of."""
    held = HeldFile(path)
    held.shown = shown
    return held


class LocalFolder:
    """The folder of an image sequence, or of masks. Every file of it is held beneath the same roots."""

    def __init__(self, path: Path, roots: Roots | None, scratch: Path) -> None:
        """Take hold of nothing yet, and raise as :func:`hold` where there is no such folder."""
        self._path, self._roots, self._scratch = path, roots, scratch
        if not stat.S_ISDIR(self._status(path).st_mode):
            raise InputError(f"{self}: no folder", code="FILE_MISSING")

    def __str__(self) -> str:
        """Return its path, as messages name it."""
        return spell(str(self._path))

    def names(self) -> set[str]:
        """Return the names of the files in it; raises ``FILE_MISSING``, ``SOURCE_DENIED`` or ``PATH_UNSAFE``."""
        try:
            return beneath.file_names(str(self._path), self._roots)
        except OSError as error:
            raise beneath.source_error(str(self._path), error) from error

    def file(self, name: str) -> HeldFile:
        """Take hold of a file in it; raises as :func:`hold`."""
        return hold(self._path / name, self._roots, self._scratch)

    def check(self, name: str) -> None:
        """Make sure that a file in it can be opened and holds something; raises as :func:`hold`, or ``ZERO_BYTE``."""
        path = str(self._path / name)
        try:
            descriptor = beneath.open_file(path, self._roots)
        except OSError as error:
            raise beneath.source_error(path, error) from error
        try:
            if os.fstat(descriptor).st_size == 0:
                raise InputError(f"{spell(path)}: the file is empty", code="ZERO_BYTE")
        finally:
            os.close(descriptor)

    def bytes_of(self, names: Iterable[str]) -> int:
        """Return the size of files in it together, in bytes."""
        return sum(self._status(self._path / name).st_size for name in names)

    def _status(self, path: Path) -> os.stat_result:
        try:
            return beneath.status(str(path), self._roots)
        except OSError as error:
            raise beneath.source_error(str(path), error) from error


def _name(descriptor: int, name: str, shown: str, scratch: Path) -> HeldFile:
    """Give a descriptor a name that keeps its suffix, by which some libraries choose how to read.

    One that is no text is replaced: some take nothing else.
    """
    name = name if is_text(name) else safe_name(encode(name)[-_SCRATCH_NAME_CHARS:])
    folder = mkdtemp(prefix="held-", dir=scratch)
    held = show(Path(folder, name), shown)
    weakref.finalize(held, _let_go, descriptor, folder, name)
    os.symlink(beneath.path_of(descriptor), held)
    return held


def _let_go(descriptor: int, folder: str, name: str) -> None:
    os.close(descriptor)
    with suppress(OSError):  # the scratch folder may have gone before
        os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
