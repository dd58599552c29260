"""Sources that are not on this machine: films in S3 are read by ranges, image sequences file by file."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, TypeAlias, cast

from db.errors import InputError
from db.settings import Settings

MAX_CACHED_FILES = 8
"""Files of a sequence that lie in scratch at once: a few threads read near one another."""


@dataclass(frozen=True)
class RemoteFile:
    """A film or sound in S3. Every opening of it is one of its own, so threads do not meet."""

    uri: str
    settings: Settings
    version_id: str = ""

    def __str__(self) -> str:
        """Return its URI, as messages name it."""
        return self.uri

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.uri.rpartition("/")[2]

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open it for reading, by ranges; raises as ``db.sources.Ranges``."""
        from db.sources import Ranges  # boto3 is only there, and only needed, where sources lie in S3

        return cast(BinaryIO, Ranges(self.settings, self.uri, self.version_id))


class RemoteFolder:
    """The folder of an image sequence in S3. Files are fetched when they are asked for, and only the last few kept."""

    def __init__(self, uri: str, settings: Settings, scratch: Path) -> None:
        """Take ``s3://bucket/folder``, the server's settings, and where fetched files may lie."""
        self._uri, self._settings, self._scratch = uri.rstrip("/"), settings, scratch
        self._sizes: dict[str, int] | None = None
        self._cache: OrderedDict[str, Path] = OrderedDict()
        self._lock = Lock()

    def __str__(self) -> str:
        """Return its URI, as messages name it."""
        return self._uri

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file in it by name, asked for once.

        Raises:
            InputError: ``FILE_MISSING`` or ``SOURCE_DENIED``.
            StoreUnavailable: S3 does not answer.
        """
        from db.sources import list_objects

        if self._sizes is None:
            inside = self._uri.removeprefix("s3://").partition("/")[2] + "/"
            entries = (
                (entry.key.removeprefix(inside), entry.bytes) for entry in list_objects(self._settings, self._uri)
            )
            self._sizes = {name: size_bytes for name, size_bytes in entries if name and "/" not in name}
        return self._sizes

    def file(self, name: str) -> Path:
        """Fetch a file into scratch; raises ``FILE_MISSING``, ``ZERO_BYTE`` and as :meth:`sizes`."""
        from db.sources import fetch_source

        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            if self.sizes().get(name) == 0:
                raise InputError(f"{self._uri}/{name}: the file is empty", code="ZERO_BYTE")
            self._scratch.mkdir(exist_ok=True)
            path = self._scratch / name
            fetch_source(self._settings, f"{self._uri}/{name}", path)
            self._cache[name] = path
            if len(self._cache) > MAX_CACHED_FILES:
                self._cache.popitem(last=False)[1].unlink()
            return path


Folder: TypeAlias = "Path | RemoteFolder"
"""Where the files of an image sequence lie."""
Place: TypeAlias = "Path | RemoteFile | RemoteFolder"
"""Where a reel lies."""


def as_folder(place: Place) -> Folder:
    """Return a sequence's place as the folder that it is."""
    assert not isinstance(place, RemoteFile)
    return place


def as_film(place: Place) -> Path | RemoteFile:
    """Return a film's place as the file that it is."""
    assert not isinstance(place, RemoteFolder)
    return place


def names_in(folder: Folder) -> set[str]:
    """Return the names of the files in a folder.

    Raises:
        InputError: ``FILE_MISSING`` or ``SOURCE_DENIED``.
        StoreUnavailable: S3 does not answer.
    """
    if isinstance(folder, RemoteFolder):
        return set(folder.sizes())
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except PermissionError as error:
        raise InputError(f"{folder}: not readable by this worker", code="SOURCE_DENIED") from error
    except OSError as error:
        raise InputError(f"{folder}: no such folder", code="FILE_MISSING") from error


def file_in(folder: Folder, name: str) -> Path:
    """Return a file of a folder on this machine, fetched where it must be; a local one need not be there."""
    return folder.file(name) if isinstance(folder, RemoteFolder) else folder / name


def bytes_in(folder: Folder, names: Iterable[str]) -> int:
    """Return the size of files in a folder together, in bytes."""
    if isinstance(folder, RemoteFolder):
        return sum(folder.sizes()[name] for name in names)
    return sum((folder / name).stat().st_size for name in names)


def size_of(place: Place) -> int:
    """Return a film's size in bytes."""
    film = as_film(place)
    if isinstance(film, Path):
        return film.stat().st_size
    with film.open() as file:
        return file.seek(0, 2)
