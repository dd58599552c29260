"""Sources that are not on this machine: films in S3, read by ranges. The rooms of ``workers`` may import this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from db.settings import Settings


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
        """Open it for reading, by ranges; raises as ``db.store.ranges.Ranges``."""
        from db.store.ranges import Ranges  # boto3 is only there, and only needed, where sources lie in S3

        return cast(BinaryIO, Ranges(self.settings, self.uri, self.version_id))


Place: TypeAlias = "Path | RemoteFile"
"""Where a film lies."""


def folder_of(place: Place) -> Path:
    """Return the folder of an image sequence, which is always read on this machine."""
    assert isinstance(place, Path)
    return place


def size_of(place: Place) -> int:
    """Return a film's size in bytes."""
    if isinstance(place, Path):
        return place.stat().st_size
    with place.open() as file:
        return file.seek(0, 2)
