"""How the samples of a TIFF lie, and which ways of laying them would come out as another picture, or none.

libtiff hands samples on without saying that they mean something else; so what is not known to come out right is refused
here by its name. Raw files of cameras begin with a small picture for the camera's screen, which is not what was taken.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import TiffFile

from db.errors import InputError
from workers.media.errors import reading
from workers.media.stills import jpeg_frame

# It complains to the log of each odd tag; people are told what comes of it.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_WHITE, _BLACK, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_SAMPLES = {_WHITE: (1, 2), _BLACK: (1, 2), _RGB: (3, 4, 5), _PALETTE: (1,), _INKS: (4, 5), _YCBCR: (3,)}
"""Photometric interpretation → how many samples a pixel may have, those beside colour among them."""
_PLAIN, _JPEG = 1, 7
_PILLOWS = {34925, 50000}
"""LZMA and Zstandard: Pillow's libtiff knows them, OpenImageIO's does not."""
_WELL_LAID = {(_WHITE, 1, 8), (_BLACK, 1, 8), (_BLACK, 1, 16), (_RGB, 3, 8)}
"""Photometric interpretation, samples and bits of what Pillow reads right then."""
_CFA, _LINEAR_RAW = 32803, 34892
_RAW_CODES = {32767, 32769, 34713, 65000, 65535}
"""Compressions of Sony, Epson, Nikon, Kodak and Pentax."""
_DNG_VERSION, _MAKE, _MODEL, _INK_SET, _SMALL = 50706, 271, 272, 332, 1
_COLOR_MAP, _MOST_INDEX_BITS = 320, 8
_COMPLEX = {5, 6}
"""Sample formats of two numbers a sample."""
_RAW_MARKS = (b"CR\2\0", b"IIII", b"MMMM")
"""What Canon and Phase One write behind the header's eight bytes."""
_ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, ArithmeticError, struct.error)
"""What tifffile raises of directories that it cannot follow; libtiff says what is wrong with them, or reads them."""
_DEVELOP = "Develop it with the camera's program, or another, to TIFF or PNG, and send that."


@contextmanager
def open_pages(path: Path, kind: str) -> Iterator[TiffFile | None]:
    """Give a file that stays open; none where it is so odd that its pages cannot be followed."""
    del kind
    try:
        file = TiffFile(path)
    except _ODD:
        yield None
        return
    with file:
        yield file


def check(path: Path, page: int = 0, opened: TiffFile | None = None) -> None:
    """Refuse a page whose samples would come out as what they are not; with the first page, the file's kind too.

    Args:
        path: The file.
        page: Counts from 0.
        opened: From :func:`open_pages`; none opens the file.

    Raises:
        InputError: ``UNSUPPORTED_PIXELS``, with what is not supported.
    """
    with nullcontext(opened) if opened else open_pages(path, "tiff") as file:
        if file is None:
            return  # its reader says what is wrong with it
        try:
            wrong = (_raw_fault(path, file) if page == 0 else "") or _fault(file.pages[page].aspage())
        except _ODD:
            return
    if wrong:
        remedy = _DEVELOP if wrong.startswith(("raw", "a small")) else None
        where = f"{path}, page {page + 1}" if page else f"{path}"
        raise InputError(f"{where}: TIFF with {wrong} is not supported", code="UNSUPPORTED_PIXELS", remedy=remedy)


def with_page(path: Path, page: int, opened: TiffFile | None, ask: Callable[[Any], str]) -> str:
    """Return what ``ask`` says of a page, as tifffile knows it; empty where it cannot be followed."""
    with nullcontext(opened) if opened else open_pages(path, "tiff") as file:
        try:
            return ask(file.pages[page].aspage()) if file else ""
        except _ODD:
            return ""


def is_for_pillow(path: Path, page: int, opened: TiffFile | None) -> bool:
    """Whether a page is packed in a way that Pillow alone undoes, and laid so that it does it right."""
    return bool(with_page(path, page, opened, lambda found: "yes" if _is_pillows(found) else ""))


def _is_pillows(page: Any) -> bool:
    layout = (int(page.photometric), page.samplesperpixel, page.bitspersample)
    is_apart = int(page.planarconfig) == 2 and page.samplesperpixel > 1
    return page.compression in _PILLOWS and not is_apart and layout in _WELL_LAID


def inner_pictures(path: Path) -> int:
    """Return how many pictures lie beside the pages, in directories of their own: they are not read."""
    with open_pages(path, "tiff") as file:
        try:
            return len(_inner(file)) if file else 0
        except _ODD:
            return 0


def _inner(file: TiffFile) -> list[Any]:
    first = file.pages.first
    return [page.aspage() for page in first.pages or ()] if first.subifds else []


def _raw_fault(path: Path, file: TiffFile) -> str:
    first = file.pages.first
    pages = (first, *_inner(file))
    with reading(str(path)), path.open("rb") as opened:
        mark = opened.read(12)[8:]
    if mark in _RAW_MARKS or any(_is_raw(page) for page in pages):
        maker = " ".join(str(_tag(first, tag) or "").strip("\0 ") for tag in (_MAKE, _MODEL)).strip()
        return f"raw samples of a camera ({maker:.60})" if maker else "raw samples of a camera"
    sizes = [page.imagewidth * page.imagelength for page in pages]
    if first.subfiletype & _SMALL and max(sizes) > sizes[0] and len(file.pages) == 1:
        return "a small picture in place of its own, which lies in a directory beside"
    return ""


def _is_raw(page: Any) -> bool:
    is_raw = page.photometric in {_CFA, _LINEAR_RAW} or page.compression in _RAW_CODES
    return is_raw or _tag(page, _DNG_VERSION) is not None


def _tag(page: Any, code: int) -> Any:
    return page.tags.valueof(code)


def _fault(page: Any) -> str:
    photometric, samples, bits = int(page.photometric), page.samplesperpixel, page.bitspersample
    if int(page.sampleformat) in _COMPLEX:
        return "complex samples"
    if photometric == _PALETTE and (wrong := _palette_fault(page, samples, bits)):
        return wrong
    if samples not in _SAMPLES.get(photometric, (samples,)):
        return f"{samples} samples a pixel in photometric interpretation {photometric}"
    if photometric == _INKS and (wrong := _ink_fault(page, samples, bits)):
        return wrong
    return _jpeg_fault(page, bits) if int(page.compression) == _JPEG else ""


def _palette_fault(page: Any, samples: int, bits: int) -> str:
    if samples > 1:
        return f"a palette and {samples - 1} samples beside it"
    if bits > _MOST_INDEX_BITS:
        return f"a palette of {bits} bits"
    colors = _tag(page, _COLOR_MAP)
    if colors is None:
        return "a palette that is not there"
    # Colours are of 16 bits; some old programs wrote them as 8, and all readers make them black.
    return "a palette whose colours are all below 256" if 0 < np.max(colors) < 256 else ""


def _ink_fault(page: Any, samples: int, bits: int) -> str:
    if _tag(page, _INK_SET) == 2:
        return "other inks than CMYK"
    if bits not in {8, 16}:
        return f"CMYK of {bits} bits"
    apart = int(page.planarconfig) == 2 and not page.is_tiled and int(page.compression) != _PLAIN
    return "CMYK in compressed planes" if apart and (bits, samples) != (8, 4) else ""


def _jpeg_fault(page: Any, bits: int) -> str:
    """Say what of the JPEG within is not supported."""
    file, offset, size = page.parent.filehandle, page.dataoffsets[0], page.databytecounts[0]
    file.seek(offset)
    wrong = jpeg_frame.fault(file.read(min(size, jpeg_frame.MOST_HEADER_BYTES)))
    return wrong or (f"JPEG of {bits} bits" if bits != 8 else "")
