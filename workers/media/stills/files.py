"""Stills: photos of many formats in and out, with their profile, EXIF and depth.

Three readers, by what each keeps: ``openimage`` (PNG, TIFF, PNM, EXR, JPEG 2000), ``pillow`` (JPEG, WebP, BMP, GIF, and
CMYK) and our own ``dpx``; ``plain_pnm`` and ``lossless_jpeg`` have what these do not read. The header is read first,
and limits are checked before any decoding.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from db.errors import CODES, InputError
from db.settings import Settings
from workers.media import pixels
from workers.media.errors import reading, writing
from workers.media.pixels import Picture
from workers.media.source import check_file
from workers.media.stills import (
    damage,
    dpx,
    jpeg2000_boxes,
    lossless_jpeg,
    metadata,
    openimage,
    pillow,
    plain_pnm,
    tiff_layout,
    tiff_tags,
    unsaid,
)
from workers.media.stills.photo import (
    OPENIMAGE,
    SUFFIXES,
    Photo,
    StillHeader,
    damage_note,
    is_still,
    join_alpha,
    kind_of,
)

__all__ = [
    "PageFile",
    "Photo",
    "StillHeader",
    "color_spread",
    "header",
    "is_still",
    "kind_of",
    "kind_to_write",
    "pages_of",
    "pages_to_read",
    "read",
    "to_picture",
    "to_samples",
    "with_picture",
    "write",
    "write_as",
    "write_pages",
]  # fmt: skip

_ALL = slice(None)
_READ_ONLY_JPEG = {lossless_jpeg.LOSSLESS, lossless_jpeg.LS}
_LEAST_JPEG2000_PX = 32
"""OpenImageIO writes no smaller JPEG 2000."""
_MOST_PX = {"webp": 16383, "jpeg": 65500}
"""Longest side that libwebp and libjpeg write."""
_CODESTREAM_WITHIN = 1 << 20
"""Bytes of boxes before a JPEG 2000's codestream, in which a profile may lie."""


class PageFile:
    """A file of several pages, open in each reader that was asked for one of them.

    To find a page in a file that is opened anew, all directories before it are read: of ten thousand, ten minutes.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Open nothing yet."""
        self._path, self._kind = path, kind
        self._stack, self._opened = ExitStack(), dict[ModuleType, Any]()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file in all readers."""
        self._stack.close()

    def opened_by(self, reader: ModuleType) -> Any:
        """Return the file as ``openimage``, ``pillow`` or ``tiff_layout`` has it open."""
        if reader not in self._opened:
            self._opened[reader] = self._stack.enter_context(reader.open_pages(self._path, self._kind))
        return self._opened[reader]


def header(path: Path, settings: Settings, page: int = 0, pages: PageFile | None = None) -> StillHeader:
    """Read a still's header and check it against the limits; nothing is decoded.

    Raises:
        InputError: ``TOO_LARGE``, ``UNKNOWN_FORMAT``, ``BAD_HEADER``, ``UNSUPPORTED_PIXELS``, or the file is not there.
    """
    if check_file(path) > settings.max_still_bytes:
        raise InputError(f"{path}: more than {settings.max_still_bytes} bytes", code="TOO_LARGE")
    kind = lossless_jpeg.kind_in(path)
    if kind == "png":
        metadata.check_packed_text(path)
    if kind == "tiff":
        tiff_layout.check(path, page, pages.opened_by(tiff_layout) if pages else None)
    if kind == "jpeg2000":
        jpeg2000_boxes.check(path)
    if kind == "dpx":
        head = _dpx_header(dpx.header(path))
    elif kind in _READ_ONLY_JPEG:
        head = lossless_jpeg.header(path, kind)
    elif kind == "pnm" and plain_pnm.is_plain(path):
        head = plain_pnm.header(path)
    else:
        opened = pages.opened_by(openimage) if pages else None
        by_pillow = kind not in OPENIMAGE or _is_pillows_alone(path, kind)
        head = pillow.header(path, kind) if by_pillow else openimage.header(path, kind, page, opened)
    if head.width * head.height > settings.max_pixels:
        raise InputError(
            f"{path}: {head.width}x{head.height} is more than {settings.max_pixels} pixels", code="TOO_LARGE"
        )
    return head


def read(
    path: Path, settings: Settings, *, accept_damaged: bool = False, page: int = 0, pages: PageFile | None = None,
    head: StillHeader | None = None,
) -> Photo:  # fmt: skip
    """Decode a still, turned upright by its EXIF orientation; raises as :func:`header`, ``TRUNCATED`` and ``CORRUPT``.

    Palettes become RGB, CMYK becomes RGB by its profile, one-bit pictures become 8-bit grey. ``page`` counts from 0;
    whoever reads many of a TIFF's keeps it open in ``pages``, and who has read the page's header gives it as ``head``.
    """
    head = head or header(path, settings, page, pages)
    if head.kind == "dpx":
        with reading(str(path)):
            return _read_dpx(path, head)
    if head.kind in _READ_ONLY_JPEG:
        return lossless_jpeg.read(path, head, accept_damaged=accept_damaged)
    if head.kind == "pnm" and plain_pnm.is_plain(path):
        plain = plain_pnm.read(path, accept_damaged=accept_damaged)
        return replace(plain, notes=plain.notes + unsaid.notes(path, "pnm"))
    reader = pillow if head.kind not in OPENIMAGE or _is_for_pillow(path, head, page, pages) else openimage
    photo: Photo = reader.read(
        path, head, page, pages.opened_by(reader) if pages else None, accept_damaged=accept_damaged
    )
    return replace(photo, notes=photo.notes + _silent_faults(path, photo, page, pages, accept_damaged=accept_damaged))


def _is_for_pillow(path: Path, head: StillHeader, page: int, pages: PageFile | None) -> bool:
    """Whether Pillow decodes what is usually OpenImageIO's: plain CMYK, some packed TIFF, and what it alone opens."""
    if head.kind == "tiff":
        opened = pages.opened_by(tiff_layout) if pages else None
        is_plain_cmyk = head.cmyk and (head.depth_bits, head.channels) == (8, 4)
        return is_plain_cmyk or tiff_layout.is_for_pillow(path, page, opened)
    return _is_pillows_alone(path, head.kind)


def _is_pillows_alone(path: Path, kind: str) -> bool:
    """Whether OpenImageIO does not open a still: JPEG 2000 of grey and alpha."""
    with path.open("rb") as file:
        head = file.read(_CODESTREAM_WITHIN) if kind == "jpeg2000" else b""
    at = head.find(b"\xff\x4f\xff\x51")  # image size and components follow, the bits of each less one
    return at >= 0 and head[at + 40 : at + 43] == b"\0\2\7" and head[at + 45 : at + 46] == b"\7"


def _silent_faults(
    path: Path, photo: Photo, page: int, pages: PageFile | None, *, accept_damaged: bool
) -> tuple[str, ...]:
    """Return notes on what the reader did not say; damage is one of them where it is accepted."""
    notes = unsaid.notes(path, photo.kind)
    opened = pages.opened_by(tiff_layout) if pages and photo.kind == "tiff" else None
    if photo.kind == "tiff" and page == 0 and (inner := tiff_layout.inner_pictures(path)):
        notes += (f"Smaller or other pictures beside the pages were left out ({inner}).",)
    if what := damage.heard(path, photo.kind, page, opened):
        if not accept_damaged:
            raise InputError(f"{path}: {what}", code="CORRUPT", remedy=CODES["TRUNCATED"].remedy)
        notes += (damage_note(what),)
    return notes


def write(photo: Photo, stem: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a still in its own format and depth, or in the nearest that can hold it; see :func:`write_pages`."""
    return write_pages((photo,), stem)


def write_pages(photos: Iterable[Photo], stem: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a still of one or more pages in its own format and depth, or in the nearest that can hold it.

    Args:
        photos: The pages, with the baggage of their source; more than one makes a TIFF.
        stem: The file's path without suffix.

    Returns:
        The file, and notes on what could not be kept.
    """
    pages = iter(photos)
    first = next(pages)
    kind, note = kind_to_write(first)
    path = stem.with_name(stem.name + _suffix(kind, first))
    notes = write_as(kind, path, chain((first,), pages))
    return path, (note, *notes) if note else notes


def write_as(kind: str, path: Path, photos: Iterable[Photo]) -> tuple[str, ...]:
    """Write a still of a kind that :func:`kind_to_write` allows; returns notes on what could not be kept."""
    with writing(str(path)):
        if kind in OPENIMAGE:
            pages = iter(photos)
            first = next(pages)
            if kind != "jpeg2000" or min(first.samples.shape[:2]) >= _LEAST_JPEG2000_PX:
                return openimage.write(chain((first,), pages), path, kind)
            losses = (
                ("JPEG 2000 this small is written without its ICC profile.",) if openimage.icc_profile(first) else ()
            )
            return (*pillow.write(replace(first, baggage={}), path, kind), *losses)
        (photo,) = photos
        if kind != "dpx":
            return pillow.write(photo, path, kind)
        height, width, channels = (samples := join_alpha(photo)).shape
        assert photo.head is not None
        dpx.write(path, photo.head.for_picture(width, height, channels), samples)
        return ()


def kind_to_write(photo: Photo) -> tuple[str, str]:
    """Return the format in which a still can be written at its depth, and a note where that is not its own."""
    deep, small = photo.depth_bits > 8, min(photo.samples.shape[:2]) < _LEAST_JPEG2000_PX
    fits = {
        "png": True, "tiff": True, "exr": photo.floating, "dpx": photo.head is not None,
        "pnm": photo.alpha is None,
        "jpeg2000": not (deep and small) and (photo.alpha is None or not photo.mono),
        "webp": not deep, **dict.fromkeys(("jpeg", "bmp"), not deep and photo.alpha is None),
    }.get(photo.kind, False)  # fmt: skip
    fits = fits and max(photo.samples.shape[:2]) <= _MOST_PX.get(photo.kind, sys.maxsize)
    if fits:
        return photo.kind, ""
    kind = "exr" if photo.floating else "tiff" if deep else "png"
    what = "" if photo.kind in {"gif", *_READ_ONLY_JPEG} else " with this depth, these channels and this size"
    name = photo.kind if photo.kind in _READ_ONLY_JPEG else photo.kind.upper()
    return kind, f"Written as {kind.upper()}: {name} is not written{what}."


def to_picture(photo: Photo, rows: slice = _ALL) -> Picture:
    """Return a still's colours, or those of some rows, as ``(C, H, W)`` float32 of 0..1."""
    samples = photo.samples[rows]
    # Split first where OpenCV knows how: converting every third sample takes several times as long.
    is_split = samples.dtype.kind == "u" and samples.shape[2] > 1
    return pixels.to_picture(tuple(cv2.split(samples) if is_split else np.moveaxis(samples, 2, 0)), photo.layout())


def color_spread(photo: Photo) -> float:
    """Return how far the colours of a still differ from one another, as ``pixels.chroma_spread``."""
    return pixels.chroma_spread(tuple(np.moveaxis(photo.samples, 2, 0)), photo.layout())


def with_picture(photo: Photo, picture: Picture) -> Photo:
    """Return the still with other colours, at its own depth; alpha goes along, enlarged where the picture was.

    Samples whose pixel shows what the still's own shows stay as they are, bit for bit, whatever their type.

    Args:
        photo: The still as it came in.
        picture: ``(C, H, W)`` float32, C 1 or 3.
    """
    samples = to_samples(photo, picture)
    alpha = photo.alpha
    if alpha is not None and alpha.shape != samples.shape[:2]:
        wide = alpha.astype(np.float32) if alpha.dtype == np.float16 else alpha
        alpha = cv2.resize(wide, samples.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(alpha.dtype)
    return replace(photo, samples=samples, alpha=alpha)


def to_samples(photo: Photo, picture: Picture, rows: slice = _ALL) -> NDArray[Any]:
    """Return the samples ``(H, W, C)`` of a picture, or of some of its rows, as :func:`with_picture` makes them."""
    samples = np.stack(pixels.to_planes(picture, photo.layout(picture.shape[0])), axis=2)
    if photo.floating and samples.shape == photo.samples[rows].shape:
        is_same = np.moveaxis(to_picture(photo, rows) == picture, 0, 2)
        samples = np.where(is_same, photo.samples[rows], samples)
    return samples


def pages_to_read(photo: Photo) -> int:
    """Return how many of a still's pages are read: of a TIFF all, up to the most that is read; else the first."""
    return min(photo.pages, tiff_tags.MAX_PAGES) if photo.kind == "tiff" else 1


def pages_of(path: Path, first: Photo, settings: Settings, *, accept_damaged: bool) -> Iterator[Photo]:
    """Yield the pages that are read of a still whose first one is decoded already."""
    yield first
    with PageFile(path, first.kind) as pages:
        for page in range(1, pages_to_read(first)):
            yield read(path, settings, accept_damaged=accept_damaged, page=page, pages=pages)


def _suffix(kind: str, photo: Photo) -> str:
    if kind == "pnm":
        return ".pgm" if photo.samples.shape[2] == 1 else ".ppm"
    return SUFFIXES[kind]


def rates_of(photo: Photo) -> tuple[Fraction, ...]:
    """Return the frames per second that a decoded file's header gives, as ``StillHeader.rates``."""
    if photo.head is not None:
        return _said(photo.head.rates)
    return openimage.rates_of(photo.spec) if photo.kind == "exr" else ()


def _said(rates: tuple[Fraction | None, ...]) -> tuple[Fraction, ...]:
    return tuple(rate for rate in rates if rate is not None)


def _dpx_header(head: dpx.DpxHeader) -> StillHeader:
    return StillHeader(
        "dpx", head.width, head.height, head.channels, head.depth_bits, transfer=head.transfer,
        rates=_said(head.rates), odd_rates=head.odd_rates, timecode=head.timecode, writer=head.text("creator"),
    )  # fmt: skip


def _read_dpx(path: Path, still_header: StillHeader) -> Photo:
    head, samples = dpx.read(path)
    alpha = np.ascontiguousarray(samples[..., 3]) if head.channels == 4 else None
    colors = np.ascontiguousarray(samples[..., :3])
    return Photo("dpx", colors, head.depth_bits, alpha, head=head, transfer=still_header.transfer)
