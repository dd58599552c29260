"""Where a manifest's paths lead, and whether they may."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from db import beneath
from db.beneath import S3
from db.errors import InputError
from db.local_paths import FILE, disk_path, spell

NOWHERE = Path(os.devnull)
"""The root of what has none on this machine: nothing can lie in it."""
_PLAIN = re.compile(r"[^/.:][^/:]*(/[^/.:][^/:]*)*")
"""Relative paths that need no thought: no empty part, none that begins with a dot, no scheme."""


class PathResolver:
    """Resolves what a manifest names to absolute paths and addresses beneath the roots of its job."""

    def __init__(self, folder: Path, roots: Iterable[str]) -> None:
        """Take the manifest's folder, against which relative paths count, and what sources must lie beneath."""
        self.folder = os.path.realpath(folder)
        self._roots = beneath.real_roots(roots)

    def resolve(self, uri: str) -> str:
        """Return the absolute path, spelled, without looking at the disk, or the ``s3://`` address as it is.

        Args:
            uri: A path as it is on the disk, a ``file://`` URL, or an address in S3.

        Raises:
            InputError: ``PATH_UNSAFE`` when it leaves the roots, ``BAD_VALUE`` when it is none of these.
        """
        if uri.startswith(S3):
            return self._check(_check_s3(uri), uri)
        is_url = uri.startswith(FILE)
        if "://" in uri and not is_url:
            raise InputError(f"{uri!r:.200}: only plain paths, file:// and s3:// addresses can be read")
        if _PLAIN.fullmatch(uri):
            return spell(self._check(f"{self.folder}/{uri}", uri))
        path = disk_path(uri) if is_url else os.path.join(self.folder, uri)
        return spell(self._check(os.path.normpath(path), uri))

    def status(self, path: str) -> os.stat_result:
        """Return what the disk says about a resolved path, links followed.

        Raises:
            InputError: ``FILE_MISSING``, ``SOURCE_DENIED``, or ``PATH_UNSAFE`` when a link leaves the roots.
        """
        try:
            return beneath.status(path, self._roots)
        except OSError as error:
            raise beneath.source_error(path, error) from error

    def _check(self, place: str, uri: str) -> str:
        if not beneath.is_beneath(place, self._roots):
            shown = ", ".join(root.rstrip("/") or "/" for root in self._roots)
            raise InputError(f"{uri!r:.200} lies outside {shown!r:.300}", code="PATH_UNSAFE")
        return place


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
    try:
        return stat.S_ISREG(beneath.status(str(path), beneath.real_roots((str(root),))).st_mode)
    except OSError:
        return False


def _check_s3(uri: str) -> str:
    bucket, _, key = uri.removeprefix(S3).partition("/")
    if not bucket or not key:
        raise InputError(f"{uri!r:.200} is not of the form s3://bucket/key")
    return uri


def folder_entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder; raises ``OSError`` where it may not be listed, or not entered."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    if entries:
        with suppress(FileNotFoundError):  # gone meanwhile, which concerns it alone
            os.lstat(entries[0].path)
    return entries
