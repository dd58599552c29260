"""Reads the pictures of a folder, a manifest or tar shards."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from db import beneath
from db.beneath import Roots
from db.errors import InputError
from workers.ops import shards

Picture = NDArray[np.uint8]
_ENDINGS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_MOST_BYTES = 200_000_000
_MOST_PX = 100_000_000
_LEAST_PX = 16
_PATH_COLUMNS = ("path", "source", "file", "filename")
"""Columns of a manifest that may say where a picture is; the first that is there counts."""


@dataclass(frozen=True)
class PhotoLocation:
    """Where one encoded picture lies."""

    name: str
    path: Path
    roots: Roots
    """What the file must lie beneath."""
    start: int = 0
    count: int | None = None
    """Bytes of a member of a shard; none means the whole file."""


class Photos:
    """Encoded pictures that are decoded when they are asked for."""

    def __init__(self, places: Sequence[PhotoLocation], origin: str) -> None:
        """Take where they are, and where they come from for people."""
        if not places:
            raise InputError(f"{origin}: there are no pictures", code="FILE_MISSING")
        self._places = tuple(places)
        self.origin = origin
        self.bad: dict[str, str] = {}
        """What could not be read so far, and why."""

    def __len__(self) -> int:
        return len(self._places)

    def name(self, number: int) -> str:
        """Name of a picture."""
        return self._places[number].name

    def files(self) -> list[str]:
        """Paths of the files in which they lie."""
        return sorted({str(place.path) for place in self._places})

    def digest(self) -> str:
        """Hex digest over all names, in order: which pictures these are."""
        return hashlib.sha256("\n".join(place.name for place in self._places).encode()).hexdigest()

    def __iter__(self) -> Iterator[tuple[str, Picture]]:
        """Every picture that can be read, with its name.

        Raises:
            InputError: ``CORRUPT`` when none can be read.
        """
        for number, place in enumerate(self._places):
            picture = self.picture_or_none(number)
            if picture is not None:
                yield place.name, picture
        if len(self.bad) == len(self):
            raise self._unreadable_error()

    def picture(self, number: int) -> Picture:
        """Return a picture ``(H, W, 3)`` RGB; for one that cannot be read, the next one that can.

        Raises:
            InputError: ``CORRUPT`` when none can be read.
        """
        for step in range(len(self)):
            rgb = self.picture_or_none((number + step) % len(self))
            if rgb is not None:
                return rgb
        raise self._unreadable_error()

    def _unreadable_error(self) -> InputError:
        name, why = next(iter(self.bad.items()))
        message = f"{self.origin}: not one of {len(self)} pictures can be read; {name}: {why}"
        return InputError(message, code="CORRUPT", remedy="Give JPEG, PNG, TIFF or WebP files.")

    def subset(self, count: int) -> Photos:
        """Return about ``count`` of them, evenly spread."""
        step = max(1, len(self) // max(1, count))
        return Photos(self._places[::step][:count], self.origin)

    def split(self, every: int) -> tuple[Photos, Photos]:
        """Return them without every so-many-th, and those."""
        rest = [place for number, place in enumerate(self._places) if number % every]
        return Photos(rest, self.origin), Photos(self._places[::every], self.origin)

    def picture_or_none(self, number: int) -> Picture | None:
        """Return a picture, or nothing when it cannot be read; then :attr:`bad` says why."""
        place = self._places[number]
        if place.name in self.bad:
            return None
        try:
            return _decode(_read_bytes(place))
        except (OSError, ValueError, cv2.error) as error:
            self.bad[place.name] = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return None


def open_photos(
    source: str | Path, only: Mapping[str, str] | None = None, *, source_roots: Iterable[str] = ()
) -> Photos:
    """Return the pictures of a folder, of a manifest (CSV or JSON Lines) or of tar shards.

    Args:
        source: A folder with pictures or with shards, a manifest, one shard, or several shards by a pattern
            (``train-*.tar``).
        only: Columns of ``index.csv`` beside the shards and the value that each must have; pictures are known by the
            column ``id``.
        source_roots: Folders besides the source's own beneath which pictures may lie; others count as unreadable.

    Raises:
        InputError: ``FILE_MISSING``, or ``BAD_SHARD`` for a shard that is none.
    """
    path = Path(source)
    roots = beneath.real_roots((str(path if path.is_dir() else path.parent), *source_roots))
    if "*" in path.name:
        return _select_photos(
            [place for each in sorted(path.parent.glob(path.name)) for place in _shard_photos(each, roots)], path, only
        )
    if path.is_dir():
        shard_paths = sorted(path.glob("*.tar"))
        places = [place for each in shard_paths for place in _shard_photos(each, roots)]
        return _select_photos(places or _folder_photos(path, roots), path, only)
    if not path.is_file():
        raise InputError(f"{source}: there is no such file or folder", code="FILE_MISSING")
    if path.suffix == ".tar":
        return _select_photos(_shard_photos(path, roots), path, only)
    return _select_photos(_manifest_photos(path, roots), path, only)


def _folder_photos(folder: Path, roots: Roots) -> list[PhotoLocation]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
    return [PhotoLocation(path.relative_to(folder).as_posix(), path, roots) for path in files]


def _shard_photos(shard: Path, roots: Roots) -> list[PhotoLocation]:
    try:
        members = shards.members(shard, _ENDINGS)
    except ValueError as error:
        raise InputError(
            f"{shard}: no tar shard of pictures ({error})", code="BAD_SHARD", remedy="Copy or pack the shard again."
        ) from error
    if not members:
        raise InputError(f"{shard}: holds no pictures", code="BAD_SHARD")
    return [PhotoLocation(each.name, shard, roots, each.start, each.count) for each in members]


def _manifest_photos(manifest: Path, roots: Roots) -> list[PhotoLocation]:
    try:
        text = manifest.read_text("utf-8-sig")
        lines = text.splitlines()
        rows = (
            [json.loads(line) for line in lines if line.strip()]
            if manifest.suffix in {".jsonl", ".ndjson"}
            else list(csv.DictReader(lines))
        )
        column = next(name for name in _PATH_COLUMNS if rows and name in rows[0])
        paths = [str(row[column]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, csv.Error) as error:
        columns = ", ".join(_PATH_COLUMNS)
        raise InputError(
            f"{manifest}: no manifest of pictures; it wants one of the columns {columns}", code="MANIFEST_UNREADABLE"
        ) from error
    return [PhotoLocation(path, manifest.parent / path, roots) for path in paths]


def _select_photos(places: list[PhotoLocation], source: Path, only: Mapping[str, str] | None) -> Photos:
    origin = str(source)
    if not only:
        return Photos(places, origin)
    index = (source if source.is_dir() else source.parent) / "index.csv"
    try:
        with index.open(encoding="utf-8", newline="") as file:
            ids = {row["id"] for row in csv.DictReader(file) if all(row[key] == only[key] for key in only)}
    except (OSError, KeyError, ValueError) as error:
        missing = f"has no column {error}" if isinstance(error, KeyError) else "cannot be read"
        raise InputError(f"{index}: {missing}, so nothing can be chosen by it", code="MANIFEST_UNREADABLE") from error
    return Photos([place for place in places if Path(place.name).stem in ids], origin)


def _read_bytes(place: PhotoLocation) -> bytes:
    with open(beneath.open_file(str(place.path), place.roots), "rb") as file:
        file.seek(place.start)
        data = file.read(_MOST_BYTES + 1 if place.count is None else min(place.count, _MOST_BYTES + 1))
    if len(data) > _MOST_BYTES:
        raise ValueError("too large")
    if place.count is not None and len(data) < place.count:
        raise ValueError("cut off")
    return data


def _decode(data: bytes) -> Picture:
    if not data:
        raise ValueError("empty")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("no picture that OpenCV reads")
    if min(bgr.shape[:2]) < _LEAST_PX or bgr.shape[0] * bgr.shape[1] > _MOST_PX:
        raise ValueError(f"{bgr.shape[1]}x{bgr.shape[0]} pixels")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
