"""What a still carries beside its pixels, taken over as it is.

Libraries that write pictures know some tags, drop others and make up their own, such as XMP and dates. So whoever has
written a still calls :func:`copy_metadata` behind it: all that does not describe how samples are stored comes from the
source's own file then, byte for byte. PNG has chunks, JPEG segments, JPEG 2000 boxes; TIFF, page by page, is in
``tiff_tags``. ICC profiles are the writers' affair, since they must fit the picture; XMP that must say more is
``xmp``'s.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from db.errors import InputError
from workers.media.errors import writing
from workers.media.stills import jpeg_frame, tiff_tags
from workers.media.stills.photo import kind_of

MAX_BYTES = 256 << 20
"""Of luggage in one file; more is none."""
MAX_TEXT_BYTES = 64 << 20
"""Of what a PNG's packed texts and profile unfold to."""
_MOST_CHUNK_BYTES = 8_000_000
"""libpng passes over longer chunks of text."""
_PNG_PACKED = {b"zTXt", b"iTXt", b"iCCP"}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT", b"IEND"}
"""Of the written file."""
# Chunks that say how samples are stored, or belong to pictures that are not written.
_PNG_OWN = {*_PNG_KEPT, b"bKGD", b"hIST", b"sBIT", b"acTL", b"fcTL", b"fdAT"}
_JPEG_TAKEN = {0xED, 0xFE}
"""APP13, where IPTC lies, and comments; Pillow writes EXIF, ICC and density."""
_SPACE = rb"(?:\s|#[^\n]*\n)+"
_PNM_HEAD = re.compile(
    rb"\s*P([456])" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})(?:(?<=\d)" + _SPACE + rb"(\d{1,5}))?\s"
)
_PNM_HEAD_BYTES = 4096
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def copy_metadata(source: Path, target: Path) -> tuple[str, ...]:
    """Give a still that was made of another one of the same format that one's luggage.

    Args:
        source: What it was made of.
        target: The file, complete but for this.

    Returns:
        Notes on what could not be kept: hostile or damaged luggage costs a note and no more.
    """
    kind = kind_of(target)
    if kind != kind_of(source) or kind not in _KINDS:
        return ()
    try:
        with writing(target.name):
            return _KINDS[kind](source, target)
    except (ValueError, struct.error, IndexError, zlib.error):
        return (f"Tags of the source's {kind.upper()} could not be followed and were not all carried over.",)


# -- PNG


def _copy_png(source: Path, target: Path) -> tuple[str, ...]:
    with source.open("rb") as file:
        before, behind = _png_metadata(file)
    fresh = target.with_name(f"{target.name}.part")
    with target.open("rb") as old, fresh.open("wb") as new:
        target_chunks = list(_chunks(old))
        if any(name == b"iCCP" for name, _, _ in target_chunks):  # the two exclude one another
            before = [chunk for chunk in before if chunk[4:8] != b"sRGB"]
        new.write(_PNG)
        for name, at, size in target_chunks:
            if name == b"IDAT" and before:
                new.write(b"".join(before))
                before = []
            if name == b"IEND":
                new.write(b"".join(behind))
            if name in _PNG_KEPT:
                old.seek(at)
                new.write(old.read(size))
    fresh.replace(target)
    return ()


def _png_metadata(file: BinaryIO) -> tuple[list[bytes], list[bytes]]:
    """Return the chunks that are taken over, those before the picture and those behind it."""
    before: list[bytes] = []
    behind: list[bytes] = []
    place, room = before, MAX_BYTES
    for name, at, size in list(_chunks(file)):
        if name == b"IDAT":
            place = behind
        elif name not in _PNG_OWN:
            room -= size
            if room < 0:
                raise ValueError("too many chunks")
            file.seek(at)
            chunk = file.read(size)
            if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
                raise ValueError("a damaged chunk")
            place.append(_upright_exif(chunk) if name == b"eXIf" else chunk)
    return before, behind


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, where it begins, and its whole size in bytes."""
    end, at = file.seek(0, 2), len(_PNG)
    while at + 12 <= end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        if at + size + 12 > end:
            break
        yield name, at, size + 12
        if name == b"IEND":
            return
        at += size + 12
    raise ValueError("no end")


def check_packed_text(path: Path) -> None:
    """Refuse a PNG whose packed texts and profile unfold to too much together: its reader would hold them all.

    Raises:
        InputError: ``TOO_LARGE``.
    """
    room = MAX_TEXT_BYTES
    with path.open("rb") as file, suppress(ValueError):  # a file that is cut off is its reader's affair
        for name, at, size in _chunks(file):
            if name in _PNG_PACKED:
                file.seek(at + 8)
                room -= _unfolded_bytes(name, file.read(min(size - 12, _MOST_CHUNK_BYTES)), room)
            if room < 0:
                break
    if room < 0:
        message = f"{path}: its packed texts unfold to more than {MAX_TEXT_BYTES:,} bytes"
        raise InputError(message, code="TOO_LARGE", remedy="Write the file anew with less text in it.")


def png_pictures(path: Path) -> int:
    """Return how many pictures a PNG holds: one, but for an animated one."""
    count, has_frame = 1, False
    with path.open("rb") as file, suppress(ValueError):
        for name, at, _ in _chunks(file):
            if name == b"acTL":
                file.seek(at + 8)
                (count,) = struct.unpack(">I", file.read(4))
            if name == b"IDAT":  # a picture without a frame of its own is shown where nothing moves
                return max(1, count + (not has_frame)) if count > 1 else 1
            has_frame |= name == b"fcTL"
    return 1


def pnm_pictures(path: Path) -> int:
    """Return how many pictures stand one behind the other in a PNM; those written as figures count as one."""
    size, at, count = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while at < size and count < tiff_tags.MAX_PAGES:
            file.seek(at)
            if not (head := _PNM_HEAD.match(file.read(_PNM_HEAD_BYTES))):
                break
            kind, width, height, top = (int(number or 1) for number in head.groups())
            row = -(-width // 8) if kind == 4 else width * (3 if kind == 6 else 1) * (2 if top > 255 else 1)
            at, count = at + head.end() + row * height, count + 1
    return max(count, 1)


def _unfolded_bytes(name: bytes, body: bytes, room: int) -> int:
    """Return how much a chunk's text unfolds to, counted until there is no room; 0 for one that is damaged or plain."""
    data = body.partition(b"\0")[2]
    if name == b"iTXt":
        packed, data = data[:1] == b"\1", (*data[2:].split(b"\0", 2), b"", b"")[2]
    else:
        packed, data = True, data[1:]
    try:
        return len(zlib.decompressobj().decompress(data, room + 1)) if packed else 0
    except zlib.error:
        return 0


def _upright_exif(chunk: bytes) -> bytes:
    body = tiff_tags.with_orientation(chunk[8:-4], 1)
    return chunk[:4] + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))


# -- JPEG


def _copy_jpeg(source: Path, target: Path) -> tuple[str, ...]:
    with source.open("rb") as file:
        head = file.read(MAX_BYTES)
    source_segments = [head[at : at + size] for mark, at, size in jpeg_frame.segments(head) if mark in _JPEG_TAKEN]
    if not source_segments:
        return ()
    body = target.read_bytes()
    place = 2
    for mark, at, size in jpeg_frame.segments(body):
        if not 0xE0 <= mark <= 0xEF:
            break
        place = at + size
    target.write_bytes(body[:place] + b"".join(source_segments) + body[place:])
    return ()


# -- JPEG 2000


def _copy_jpeg2000(source: Path, target: Path) -> tuple[str, ...]:
    body = source.read_bytes()
    if body.startswith(b"\xff\x4f"):
        return ()
    source_boxes = [box for name, box in _boxes(body) if name in {b"xml ", b"uuid"} and _XMP_BOX not in box[8:32]]
    with target.open("ab") as file:
        file.write(b"".join(source_boxes))
    return ()


def _boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(body):
        size, name = struct.unpack_from(">I4s", body, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", body, at + 8)
        stop = len(body) if size == 0 else at + size
        if stop < at + 8 or stop > len(body):
            raise ValueError("a box longer than its file")
        if size != 0:
            yield name, body[at:stop]
        at = stop


_KINDS = {"png": _copy_png, "jpeg": _copy_jpeg, "jpeg2000": _copy_jpeg2000, "tiff": tiff_tags.copy_tags}
