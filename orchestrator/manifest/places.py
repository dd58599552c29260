"""Where a manifest's paths lead, and whether they may."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from db.errors import InputError

S3 = "s3://"
NOWHERE = Path(os.devnull)
"""The root of what has none on this machine: nothing can lie in it."""
_CACHED_FOLDERS = 4096
_PLAIN = re.compile(r"[^/.:][^/:]*(/[^/.:][^/:]*)*")
"""Relative paths that need no thought: no empty part, none that begins with a dot, no scheme."""


class PathResolver:
    """Resolves what a manifest names to absolute paths inside its own folder and the allowed roots."""

    def __init__(self, folder: Path, roots: Iterable[Path] = ()) -> None:
        """Take the manifest's folder, against which relative paths count, and further roots."""
        self.folder = os.path.realpath(folder)
        self._roots = tuple(_with_slash(os.path.realpath(root)) for root in (folder, *roots))
        # Thousands of files lie in one folder, and following its links costs more than all else about a line.
        self._real_folder = lru_cache(_CACHED_FOLDERS)(os.path.realpath)

    def resolve(self, uri: str) -> str:
        """Return the absolute path, without looking at the disk, or the ``s3://`` address as it is.

        Raises:
            InputError: ``PATH_UNSAFE`` when the path leaves the allowed folders.
        """
        if _PLAIN.fullmatch(uri):
            return f"{self.folder}/{uri}"
        if uri.startswith(S3):
            return _check_s3(uri)
        if "://" in uri:
            raise InputError(f"{uri!r:.200}: only plain paths and s3:// addresses can be read")
        path = os.path.normpath(os.path.join(self.folder, uri))
        if not self._is_allowed(path):
            raise InputError(f"{uri!r:.200} lies outside {self.folder!r:.200}", code="PATH_UNSAFE")
        return path

    def status(self, path: str) -> os.stat_result:
        """Return what the disk says about a resolved path, links followed.

        Raises:
            InputError: ``FILE_MISSING``, ``SOURCE_DENIED``, or ``PATH_UNSAFE`` when a link leaves the allowed folders.
        """
        try:
            file_status = os.lstat(path)
            folder, name = os.path.split(path)
            real = os.path.join(self._real_folder(folder), name)
            if stat.S_ISLNK(file_status.st_mode):
                real, file_status = os.path.realpath(path), os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{path!r:.300} is not there", code="FILE_MISSING") from error
        except OSError as error:
            raise InputError(f"{path!r:.300}: {error.strerror}", code="SOURCE_DENIED") from error
        if not self._is_allowed(real):
            raise InputError(f"{path!r:.300} is a link that leads outside, to {real!r:.200}", code="PATH_UNSAFE")
        return file_status

    def _is_allowed(self, path: str) -> bool:
        return _with_slash(path).startswith(self._roots)


OTHER_FORM = "Names are written in another Unicode form than on the disk; the disk's was taken"
"""The note of a reader for which :func:`as_on_disk` found something else than stands in the manifest."""


def as_on_disk(root: Path, path: str) -> str:
    """Return a path inside ``root`` in the Unicode form that lies there: manifests travel between systems, and change.

    A path that is there in no form comes back as it was.
    """
    if path.isascii() or os.path.lexists(os.path.join(root, path)):
        return path
    forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    return next((form for form in forms if os.path.lexists(os.path.join(root, form))), path)


def is_paper(path: Path, root: Path) -> bool:
    """Whether a file that belongs to a manifest is a regular one and no link leads it out of ``root``.

    What stands in such a file is told to whoever sent it, so it must not be just any file of this machine.
    """
    return path.is_file() and _with_slash(os.path.realpath(path)).startswith(_with_slash(os.path.realpath(root)))


def _with_slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _check_s3(uri: str) -> str:
    bucket, _, key = uri.removeprefix(S3).partition("/")
    if not bucket or not key:
        raise InputError(f"{uri!r:.200} is not of the form s3://bucket/key")
    return uri
