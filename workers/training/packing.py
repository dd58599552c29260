"""Packs pictures into tar shards that travel to another machine."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from db.errors import InputError
from db.placing import Placer, create
from workers.training.photos import Photos, Picture

_FORMAT = tarfile.USTAR_FORMAT


@dataclass(frozen=True)
class PackResult:
    """What came of packing."""

    shards: tuple[Path, ...]
    pictures: int
    unreadable: int


def pack(
    photos: Photos,
    folder: Path,
    *,
    side: int = 256,
    quality: int = 90,
    megabytes: int = 60,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PackResult:
    """Write shards ``photos-0000.tar`` and so on, shuffled, each ``NAME.jpg`` a member.

    Args:
        photos: What is packed.
        folder: Where to; shards of an earlier packing there are refused.
        side: Short side in pixels to which larger pictures are brought.
        quality: Of JPEG, 1 to 100; what colours are learnt from may be 70.
        megabytes: Largest size of a shard.
        seed: Of the shuffling.
        on_progress: Called with how many are done, and of how many.

    Raises:
        InputError: ``ALREADY_THERE``, or ``CORRUPT`` when no picture can be read.
    """
    if any(folder.glob("photos-*.tar")):
        raise InputError(f"{folder}: holds shards already", code="ALREADY_THERE", remedy="Give an empty folder.")
    placer = Placer(sources=photos.files)
    shards: list[Path] = []
    count = 0
    for members in _group_shards(_encode_members(photos, side, quality, seed), megabytes * 1_000_000):
        shards.append(folder / f"photos-{len(shards):04d}.tar")
        with placer.fresh_name(str(shards[-1])) as fresh:
            with open(create(fresh), "wb") as file, tarfile.open(fileobj=file, mode="w", format=_FORMAT) as archive:
                for name, data in members:
                    member = tarfile.TarInfo(f"{count:07d}-{name}.jpg")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
                    count += 1
            placer.put(fresh, str(shards[-1]))
        on_progress(count + len(photos.bad), len(photos))
    if not count:
        raise InputError(f"{photos.origin}: not one of {len(photos)} pictures can be read", code="CORRUPT")
    return PackResult(tuple(shards), count, len(photos.bad))


def _group_shards(members: Iterable[tuple[str, bytes]], most_bytes: int) -> Iterator[list[tuple[str, bytes]]]:
    """Members in lists that each make a shard of at most so many bytes, but at least one member."""
    together: list[tuple[str, bytes]] = []
    size = tarfile.RECORDSIZE
    for name, data in members:
        member_bytes = tarfile.BLOCKSIZE * (1 + -(-len(data) // tarfile.BLOCKSIZE))
        if together and size + member_bytes > most_bytes:
            yield together
            together, size = [], tarfile.RECORDSIZE
        together.append((name, data))
        size += member_bytes
    if together:
        yield together


def _encode_members(photos: Photos, side: int, quality: int, seed: int) -> Iterator[tuple[str, bytes]]:
    for number in np.random.default_rng(seed).permutation(len(photos)):
        picture = photos.picture_or_none(int(number))
        if picture is None:
            continue
        bgr = cv2.cvtColor(_shrink(picture, side), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        yield re.sub(r"[^A-Za-z0-9_-]+", "-", Path(photos.name(int(number))).stem)[:60], data.tobytes()


def _shrink(picture: Picture, side: int) -> Picture:
    height, width = picture.shape[:2]
    share = side / min(height, width)
    if share >= 1:
        return picture
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
