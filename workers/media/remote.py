"""Sources that are not on this machine: films in S3 are read by ranges, image sequences file by file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, TypeAlias, cast

from db.errors import InputError
from db.settings import Settings
from workers.media.local import HeldFile, LocalFolder, show

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
        self._known_sizes: dict[str, int] | None = None
        self._cache: OrderedDict[str, HeldFile] = OrderedDict()
        self._lock = Lock()

    def __str__(self) -> str:
        """Return its URI, as messages name it."""
        return self._uri

    def names(self) -> set[str]:
        """Return the names of the files in it; raises ``FILE_MISSING``, ``SOURCE_DENIED``, ``StoreUnavailable``."""
        return set(self._sizes())

    def check(self, name: str) -> None:
        """Make sure that a file in it is there and holds something, so far as the listing says.

        Raises:
            InputError: ``FILE_MISSING`` or ``ZERO_BYTE``.
        """
        size = self._sizes().get(name)
        if size is None:
            raise InputError(f"{self._uri}/{name}: there is no such object", code="FILE_MISSING")
        if size == 0:
            raise InputError(f"{self._uri}/{name}: the file is empty", code="ZERO_BYTE")

    def bytes_of(self, names: Iterable[str]) -> int:
        """Return the size of files in it together, in bytes."""
        return sum(self._sizes()[name] for name in names)

    def _sizes(self) -> dict[str, int]:
        """Return the bytes of each file in it by name, asked for once.

        Raises:
            InputError: ``FILE_MISSING`` or ``SOURCE_DENIED``.
            StoreUnavailable: S3 does not answer.
        """
        from db.sources import list_objects

        if self._known_sizes is None:
            inside = self._uri.removeprefix("s3://").partition("/")[2] + "/"
            entries = (
                (entry.key.removeprefix(inside), entry.bytes) for entry in list_objects(self._settings, self._uri)
            )
            self._known_sizes = {name: size_bytes for name, size_bytes in entries if name and "/" not in name}
        return self._known_sizes

    def file(self, name: str) -> HeldFile:
        """Fetch a file into scratch; raises ``FILE_MISSING``, ``ZERO_BYTE`` and as :meth:`names`."""
        from db.sources import fetch_source

        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            self.check(name)
            self._scratch.mkdir(exist_ok=True)
            path = self._scratch / name
            fetch_source(self._settings, f"{self._uri}/{name}", path)
            self._cache[name] = show(path, f"{self._uri}/{name}")
            if len(self._cache) > MAX_CACHED_FILES:
                self._cache.popitem(last=False)[1].unlink()
            return self._cache[name]


Folder: TypeAlias = "LocalFolder | RemoteFolder"
"""Where the files of an image sequence lie."""
Place: TypeAlias = "Path | RemoteFile | LocalFolder | RemoteFolder"
"""Where a reel lies; a path is one of our own, or held."""


def as_folder(place: Place) -> Folder:
    """Return a sequence's place as the folder that it is."""
    assert isinstance(place, LocalFolder | RemoteFolder)
    return place


def as_film(place: Place) -> Path | RemoteFile:
    """Return a film's place as the file that it is."""
    assert isinstance(place, Path | RemoteFile)
    return place


def size_of(place: Place) -> int:
    """Return a film's size in bytes."""
    film = as_film(place)
    if isinstance(film, Path):
        return film.stat().st_size
    with film.open() as file:
        return file.seek(0, 2)
