"""What decoders notice and pass over: damage that leaves a picture, but not the one that was.

libjpeg only warns of data that do not fit together, and goes on with what it makes of them; libtiff does not look at
the checksum behind packed samples, and takes what a damaged fax line gives. Here the data are decoded once more by
somebody who speaks: libjpeg in its strict way, zlib, and FFmpeg for faxes. Whatever has no checksum and no codes that
exclude one another (plain samples, WebP, JPEG 2000) may still be damaged unheard.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import OpenImageIO as oiio
import simplejpeg
from tifffile import TiffFile

from workers.media.errors import error_text, reading
from workers.media.stills import jpeg_frame, tiff_layout

_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
"""Of libjpeg's, those that mean the picture; others are about its header."""
_FILL = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_BAND_ROWS = 16
_FAX, _JPEG, _ZIP = {2, 3, 4}, 7, {8, 32946}


def heard(path: Path, kind: str, page: int = 0, opened: TiffFile | None = None) -> str:
    """Say what is wrong inside a still that its reader decoded without a word; empty where nothing is.

    Args:
        path: The file.
        kind: Its format.
        page: Of a TIFF, from 0.
        opened: From ``tiff_layout.open_pages``; none opens the file.
    """
    with reading(str(path)):
        if kind == "jpeg":
            return _heard_jpeg_file(path)
        if kind == "tiff":
            return tiff_layout.with_page(path, page, opened, _heard_tiff)
    return ""


# -- JPEG


def _heard_jpeg_file(path: Path) -> str:
    message = _heard_jpeg(path.read_bytes())
    row = _damaged_row(path) if message else None
    return f"{message}, noticed in row {row}" if row is not None else message


def _heard_jpeg(body: bytes) -> str:
    found = jpeg_frame.frame(body)
    if found is None:
        return ""
    colors = "CMYK" if found[2] == 4 else "GRAY"
    try:
        # libjpeg tells its first warning alone, and that may be of what lies beside the picture.
        simplejpeg.decode_jpeg(jpeg_frame.without_luggage(body), colors, fastdct=True, fastupsample=True, strict=True)
    except ValueError as error:
        message = error_text(error)
        return message if message.startswith(_WARNINGS) and not _is_fill(message, body) else ""
    return ""


def _is_fill(message: str, body: bytes) -> bool:
    """Whether bytes too many before the end are all alike: some cameras fill up their files so."""
    if not (found := _FILL.search(message)):
        return False
    ends = (match.start() for match in re.finditer(b"\xff\xd9", body))  # of a pair of pictures each has its own
    return any(len(set(body[max(end - int(found[1]), 0) : end])) == 1 for end in ends)


def _damaged_row(path: Path) -> int | None:
    """Return the row, from 0 and by blocks, at which libjpeg begins to warn; none where it does not say."""
    reader = oiio.ImageInput.open(str(path))
    if reader is None:
        return None
    spec = reader.spec()
    for row in range(0, spec.height, _BAND_ROWS):
        stop = min(row + _BAND_ROWS, spec.height)
        samples = reader.read_scanlines(0, 0, row, stop, 0, 0, spec.nchannels, "uint8")
        if samples is None or reader.geterror():
            reader.close()
            return row or None  # of several scans all are read before the first row
    reader.close()
    return None


# -- TIFF


def _heard_tiff(page: Any) -> str:
    compression = int(page.compression)
    hear = _heard_packed if compression in _ZIP else _heard_fax if compression in _FAX else None
    if compression == _JPEG:
        hear = _heard_inner_jpeg
    if hear is None:
        return ""
    for number, body in enumerate(_segments(page)):
        if body and (message := hear(body, page, number)):
            part = f"row {number * page.rowsperstrip}" if not page.is_tiled else f"tile {number}"
            return f"{message}, in the part that begins with {part}"
    return ""


def _segments(page: Any) -> Iterator[bytes]:
    file = page.parent.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        file.seek(offset)
        yield file.read(size)


def _heard_packed(body: bytes, page: Any, number: int) -> str:
    del page, number
    try:
        unfolded = zlib.decompressobj()
        while body and not unfolded.eof:
            unfolded.decompress(body, 1 << 24)
            body = unfolded.unconsumed_tail
    except zlib.error as error:
        return error_text(error)
    return ""


def _heard_inner_jpeg(body: bytes, page: Any, number: int) -> str:
    del number
    tables = page.jpegtables
    return _heard_jpeg(tables[:-2] + body[2:] if tables else body)


def _heard_fax(body: bytes, page: Any, number: int) -> str:
    """Decode one strip of fax as a TIFF of its own, by a decoder that does not guess."""
    rows = min(page.rowsperstrip, page.imagelength - number * page.rowsperstrip)
    if page.is_tiled or rows <= 0:
        return ""
    try:
        with av.open(io.BytesIO(_fax_tiff(body, page, rows)), "r", format="tiff_pipe") as film:
            film.streams.video[0].codec_context.options = {"err_detect": "explode"}
            next(film.decode(video=0))
    except (av.error.InvalidDataError, StopIteration):
        return "Fax lines that do not fit together"
    except av.error.FFmpegError:
        return ""  # a way of coding that FFmpeg does not know
    return ""


def _fax_tiff(body: bytes, page: Any, rows: int) -> bytes:
    values = {
        256: page.imagewidth, 257: rows, 258: 1, 259: int(page.compression), 262: int(page.photometric), 
        266: page.fillorder, 273: 0, 277: 1, 278: rows, 279: len(body), 292: page.tags.valueof(292) or 0,
    }  # fmt: skip
    values[273] = 8 + 2 + 12 * len(values) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + body
