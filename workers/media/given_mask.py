"""The mask that a manifest gives with an item: what of its pictures is damaged.

A mask is a picture of the item's size, white where it is damaged; a reel has one for all of its frames, or a film with
as many frames. The probe reads it once and keeps it as a lossless film of our own, which is read by frame number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.records import ReelFacts, Source
from workers.media import pixels, planes
from workers.media.film import container, ffv1
from workers.media.film import scan as film_scan
from workers.media.local import LocalFolder
from workers.media.pixels import Layout
from workers.media.source import locate_mask
from workers.media.stills import files as stills
from workers.workbench import Workbench

Mask = NDArray[np.bool_]
"""``(H, W)``: what is damaged."""

_LAYOUT = Layout("gray", 8)
_DAMAGED_FROM = 0.5
"""Share of full scale from which a pixel of a mask counts."""
_LEFT_BEHIND = {"thumbs.db", "desktop.ini"}


def read_still_mask(source: Source, size: tuple[int, int], bench: Workbench) -> Mask | None:
    """Return the mask of a still of ``size`` (height, width); none where the manifest gives none.

    Raises:
        InputError: ``BAD_MASK``, or it cannot be read.
    """
    if not source.mask:
        return None
    place = locate_mask(source, bench)
    if isinstance(place, LocalFolder):
        raise InputError(f"{place}: a folder, but a still has one mask", code="BAD_MASK")
    return _checked(_read_picture(place, bench), size, source.mask)


def store_masks(source: Source, facts: ReelFacts, bench: Workbench) -> Path:
    """Write a reel's mask as a film that is read by frame number: one frame where all frames have the same.

    Raises:
        InputError: ``BAD_MASK`` when size or number of frames are not the reel's, or it cannot be read.
    """
    path, size = bench.scratch / "mask.mkv", (facts.height, facts.width)
    masks = _read_any(source, bench)
    count = 0
    with ffv1.open_writer(path, _LAYOUT, size, Fraction(1000, ffv1.MEZZANINE_TICK_MS), facts) as write:
        for mask in masks:
            write((_checked(mask, size, source.mask).astype(np.uint8) * np.uint8(255),))
            count += 1
            bench.advance()
    if count not in (1, facts.frame_count):
        raise InputError(
            f"{source.mask}: {count} frames, but the reel has {facts.frame_count}; one frame is taken for all",
            code="BAD_MASK",
        )
    return path


def read_masks(path: Path | None, span: tuple[int, int]) -> Iterator[Mask] | None:
    """Return the masks of the frames of a span, from what :func:`store_masks` wrote; none without such a film."""
    return None if path is None else _read_span(path, *span)


def _read_span(path: Path, start: int, stop: int) -> Iterator[Mask]:
    with container.open_film(path) as (film, stream):
        tick, number = ffv1.MEZZANINE_TICK_MS, start
        container.seek(film, stream, start * tick)
        for frame in container.frames(film, stream, _refuse_damage):
            mask = _to_mask(pixels.to_picture(planes.to_planes(frame, _LAYOUT), _LAYOUT))
            if frame.pts is not None and frame.pts >= start * tick:
                yield mask
                number += 1
            if number == stop:
                return
        # A film of one frame: the mask of all.
        for _ in range(number, stop):
            yield mask


def _read_any(source: Source, bench: Workbench) -> Iterator[Mask]:
    """Yield the masks of a film, of the pictures of a folder in the order of their numbers, or of one picture."""
    place = locate_mask(source, bench)
    if isinstance(place, LocalFolder):
        for name in sorted(filter(_may_be_mask, place.names()), key=_number_order):
            yield _read_picture(_known_picture(place.file(name)), bench)
    elif stills.is_still(place):
        yield _read_picture(place, bench)
    else:
        yield from _read_film(place, bench)


def _read_film(path: Path, bench: Workbench) -> Iterator[Mask]:
    with container.open_film(path, max_pixels=bench.settings.max_pixels) as (film, stream):
        for frame in container.frames(film, stream, _refuse_damage):
            layout = film_scan.layout_of(frame, stream.codec_context.name, str(path))
            yield _to_mask(pixels.to_picture(planes.to_planes(frame, layout), layout))


def _read_picture(path: Path, bench: Workbench) -> Mask:
    stills.header(path, bench.settings)
    photo = stills.read(path, bench.settings)
    mask = _to_mask(stills.to_picture(photo))
    # A clear layer marks nothing where nothing was painted on it, whatever colour stands there.
    return mask if photo.alpha is None else mask & (photo.alpha >= _DAMAGED_FROM * _full_scale(photo))


def _full_scale(photo: stills.Photo) -> int:
    return 1 if photo.floating else 2**photo.depth_bits - 1


def _to_mask(picture: pixels.Picture) -> Mask:
    mask: Mask = picture.max(axis=0) >= _DAMAGED_FROM
    return mask


def _checked(mask: Mask, size: tuple[int, int], uri: str) -> Mask:
    if mask.shape != size:
        (height, width), (rows, columns) = size, mask.shape
        raise InputError(f"{uri}: {columns} x {rows}, but its picture has {width} x {height}", code="BAD_MASK")
    return mask


def _may_be_mask(name: str) -> bool:
    """Whether a file of a folder is no such as systems leave there."""
    return not name.startswith(".") and name.lower() not in _LEFT_BEHIND


def _known_picture(path: Path) -> Path:
    """Return a file of a folder that is a picture; to pass over another would move all masks behind it by a frame."""
    if not stills.is_still(path):
        raise InputError(f"{path}: it is no picture; a folder of masks holds nothing else", code="BAD_MASK")
    return path


def _number_order(name: str) -> tuple[int, str]:
    """Sort by the last number in a name, then by the name."""
    digits = re.findall(r"\d+", PurePath(name).stem)
    return (int(digits[-1]) if digits else -1, name)


def _refuse_damage(damage: str) -> None:
    raise InputError(f"A mask cannot be decoded: {damage}", code="BAD_MASK")
