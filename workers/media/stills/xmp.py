"""XMP packets of stills and MP4 films: taken over byte for byte, and extended by our mark.

Libraries that write pictures make packets of their own or drop the source's; so whoever has written a file calls
:func:`copy_xmp` behind it. JPEG holds the packet in an APP1 segment, PNG in an iTXt chunk, TIFF in tag 700, WebP in a
chunk, JPEG 2000 and MP4 in a box. What stands in a packet comes from outside: it is parsed only to find where our
words go.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from db import source_types
from db.errors import WorkError
from workers.media.errors import writing

SOURCE_TYPE, AI_SYSTEM = "DigitalSourceType", "AISystemUsed"
"""Properties of the IPTC's Extension schema."""
IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
MAX_PACKET_BYTES = 4 << 20
"""Of a packet, unfolded: an editor's whole history of a picture is a tenth of it."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EMPTY_RDF = re.compile(rb"<((?:[\w.-]+:)?RDF)(\s[^<>]*?)?/>")
_JPEG_HEAD, _JPEG_MORE = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_JPEG_ROOM = 65_535 - 2 - len(_JPEG_HEAD)
_JPEG_HEAD_BYTES = 64 << 20
"""Of segments before the picture that are looked through."""
_PNG_SIGNATURE, _PNG_KEYWORD = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp\0"
_BOX_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_TIFF_TAG, _TIFF_BYTES = 700, 1
_FRESH = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
).encode()


class PacketTooLong(ValueError):
    """A packet has more bytes than are read."""


@dataclass(frozen=True)
class Packet:
    """One file's XMP."""

    body: bytes
    """The packet as it stands in the file."""
    more: tuple[bytes, ...] = ()
    """JPEG alone: the segments that continue a packet too long for one, as they were."""


def copy_xmp(source: Path | None, target: Path, mark: Mapping[str, str]) -> tuple[str, ...]:
    """Give a file that was made of another one that one's XMP, and our mark in it.

    Args:
        source: What it was made of, if its packet is wanted; it is kept byte for byte where there is no mark.
        target: The file, complete but for this.
        mark: Properties of the IPTC's Extension schema; empty adds nothing. That a picture was corrected is said only
            where nobody said yet what kind of source it is: it must not hide that something was invented before.

    Returns:
        Notes on what could not be kept.
    """
    packet, notes = _read_noting(source) if source else (None, ())
    mark, had_packet = _mark_to_write(packet, mark), packet is not None
    if packet is None and not mark:
        return notes if source and kind_of(source) != kind_of(target) else ()  # their luggage is carried as it is
    if mark:
        try:
            packet = with_mark(packet, mark)
        except ValueError as error:
            packet, notes = with_mark(None, mark), (f"XMP could not be read and was not carried over ({error}).",)
    if write(target, packet):
        return notes
    if mark and kind_of(target) == "jpeg":
        write(target, with_mark(None, mark))
    what = "XMP of the source could not be carried over" if had_packet else "No XMP says how the picture was made"
    return (*notes, f"{what}: this format has no room for it.")


def _mark_to_write(packet: Packet | None, mark: Mapping[str, str]) -> Mapping[str, str]:
    is_enhanced = mark.get(SOURCE_TYPE) == source_types.uri(source_types.ENHANCED)
    if is_enhanced and SOURCE_TYPE in properties(packet):
        return {name: value for name, value in mark.items() if name != SOURCE_TYPE}
    return mark


def read(path: Path) -> Packet | None:
    """Return the XMP of a file; none where it has none, or too much, is of another kind, or is damaged around it."""
    return _read_noting(path)[0]


def _read_noting(path: Path) -> tuple[Packet | None, tuple[str, ...]]:
    kind = kind_of(path)
    if kind is None:
        return None, ()
    try:
        with path.open("rb") as file:
            return _KINDS[kind].read(file), ()
    except PacketTooLong:
        return None, (f"XMP of more than {MAX_PACKET_BYTES:,} bytes was not carried over.",)
    except (ValueError, OSError, struct.error, IndexError, zlib.error):
        return None, ()


def write(path: Path, packet: Packet | None) -> bool:
    """Put a packet into a file in place of what is there; says whether its format has room for it.

    Raises:
        TransientError: The file cannot be written.
    """
    kind = kind_of(path)
    if packet is None or kind is None:
        return packet is None
    if kind == "jpeg" and len(packet.body) > _JPEG_ROOM:
        return False
    with writing(path.name):
        try:
            _KINDS[kind].write(path, packet)
        except (ValueError, struct.error, IndexError) as error:
            raise WorkError(f"{path.name}: no place for XMP can be found ({error})", code="WORKER_FAULT") from error
    return True


def with_mark(packet: Packet | None, mark: Mapping[str, str]) -> Packet:
    """Return a packet in which our properties stand, in place of such as were there; all else is as it was.

    Raises:
        ValueError: The packet is no XMP.
    """
    body = _with_properties(_EMPTY_RDF.sub(rb"<\1\2></\1>", _utf8(packet.body)) if packet else _FRESH, mark)
    return Packet(body, packet.more if packet else ())


def properties(packet: Packet | None) -> dict[str, str]:
    """Return the simple properties of the IPTC's Extension schema in a packet, by name; empty for what is no XMP."""
    try:
        return _scan_packet(_utf8(packet.body)).values if packet else {}
    except ValueError:
        return {}


def _bounded(size: int) -> int:
    """Return the size of a packet; raises :class:`PacketTooLong`."""
    if size > MAX_PACKET_BYTES:
        raise PacketTooLong
    return size


def kind_of(path: Path) -> str | None:
    """Name the format by its first bytes; none for one that holds no XMP here."""
    with path.open("rb") as file:
        head = file.read(12)
    for kind, format_ in _KINDS.items():
        if format_.fits(head):
            return kind
    return None


# -- the packet itself


@dataclass
class _PacketPlaces:
    """Where things stand in a packet, in bytes."""

    rdf_end: int = -1
    prefix: str = "rdf"
    about: str = ""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Elements of the IPTC's Extension schema: local name, begin and end."""
    attributes: list[tuple[str, int, str]] = field(default_factory=list)
    """The same written as attributes: local name, where their element begins, and qualified name."""
    values: dict[str, str] = field(default_factory=dict)


def _utf8(body: bytes) -> bytes:
    """Return a packet in UTF-8: some are written in UTF-16."""
    if body[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in body[:4]:
        return body.decode("utf-16" if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-16-be").encode()
    return body


def _scan_packet(body: bytes) -> _PacketPlaces:
    """Find the places of a packet that matter; raises ``ValueError`` when it is no well-formed XMP."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("it declares entities")
    places, parser = _PacketPlaces(), expat.ParserCreate(namespace_separator=" ")
    parser.namespace_prefixes = True
    parser.buffer_text = True
    open_since: list[int] = []
    text: list[str] = []
    has_description = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal has_description
        open_since.append(parser.CurrentByteIndex)
        text.clear()
        space, local = _parts(name)
        if space == _RDF and local == "Description" and not has_description:
            has_description = True
            places.about = next((value for key, value in attributes.items() if _parts(key) == (_RDF, "about")), "")
        for key, value in attributes.items():
            if _parts(key)[0] == IPTC_EXTENSION:
                qualified = ":".join(reversed(key.split(" ")[1:]))
                places.attributes.append((_parts(key)[1], parser.CurrentByteIndex, qualified))
                places.values[_parts(key)[1]] = value

    def end(name: str) -> None:
        since = open_since.pop()
        space, local = _parts(name)
        if space == IPTC_EXTENSION:
            stop = body.index(b">", parser.CurrentByteIndex) + 1
            places.spans.append((local, since, stop))
            places.values[local] = "".join(text).strip()
        if (space, local) == (_RDF, "RDF"):
            places.rdf_end = parser.CurrentByteIndex
            places.prefix = name.split(" ")[2] if name.count(" ") == 2 else ""
        text.clear()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text.append
    try:
        # Padding of zeros behind the packet is no XML, and common.
        parser.Parse(body.rstrip(b"\0"), True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error
    if places.rdf_end < 0 or body[places.rdf_end : places.rdf_end + 2] != b"</":
        raise ValueError("there is no rdf:RDF in it")
    return places


def _parts(name: str) -> tuple[str, str]:
    """Split expat's ``space local prefix`` into name space and local name."""
    words = name.split(" ")
    return (words[0], words[1]) if len(words) > 1 else ("", name)


def _with_properties(body: bytes, mark: Mapping[str, str]) -> bytes:
    places = _scan_packet(body)
    parts, at = [], 0
    for start, stop in [*_spans_of(body, places, mark), (places.rdf_end, places.rdf_end)]:
        if start < at:
            raise ValueError("a property stands around or behind all others")
        parts.append(body[at:start])
        at = stop
    joined = b"".join([*parts, _elements(places, mark), body[at:]])
    after = _scan_packet(joined)
    names = [name for name, *_ in (*after.spans, *after.attributes) if name in mark]
    if sorted(names) != sorted(mark) or not mark.items() <= after.values.items():
        raise ValueError("its properties cannot be told from its other words")
    return joined


def _elements(places: _PacketPlaces, mark: Mapping[str, str]) -> bytes:
    rdf = f"{places.prefix}:" if places.prefix else ""
    about = f"{rdf or 'rdf:'}about={quoteattr(places.about)}"
    if not rdf:  # an attribute is in no default name space
        about = f"xmlns:rdf={quoteattr(_RDF)} {about}"
    return "".join(
        f"<{rdf}Description {about} xmlns:Iptc4xmpExt={quoteattr(IPTC_EXTENSION)}>"
        f"<Iptc4xmpExt:{name}>{escape(value)}</Iptc4xmpExt:{name}></{rdf}Description>"
        for name, value in mark.items()
    ).encode()


def _spans_of(body: bytes, places: _PacketPlaces, names: Container[str]) -> list[tuple[int, int]]:
    """Return where properties stand, wherever and however often, in order; what stands inside another is not named."""
    spans = [(start, stop) for name, start, stop in places.spans if name in names]
    spans += [_attribute_span(body, begin, as_is) for name, begin, as_is in places.attributes if name in names]
    outer: list[tuple[int, int]] = []
    for start, stop in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not outer or start >= outer[-1][1]:
            outer.append((start, stop))
    return outer


def _attribute_span(body: bytes, begin: int, qualified: str) -> tuple[int, int]:
    pattern = rb"\s" + re.escape(qualified.encode()) + rb"\s*=\s*(\"[^\"]*\"|'[^']*')"
    match = re.compile(pattern).search(body, begin)
    if match is None:
        raise ValueError(f"{qualified} cannot be found in it")
    return match.span()


# -- JPEG


def _read_jpeg(file: Any) -> Packet | None:
    body: bytes | None = None
    more = []
    for marker, payload in _segments(file.read(_JPEG_HEAD_BYTES)):
        if marker == 0xE1 and payload.startswith(_JPEG_HEAD) and body is None:
            body = payload[len(_JPEG_HEAD) :]
        elif marker == 0xE1 and payload.startswith(_JPEG_MORE):
            more.append(payload)
    return Packet(body, tuple(more)) if body is not None else None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and payload of each segment before the picture itself."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in {0xFF, 0xDA, 0xD9}:
            if marker == 0xFF:
                at += 1
                continue
            return
        (size,) = struct.unpack_from(">H", data, at + 2)
        if at + 2 + size > len(data):
            return
        yield marker, data[at + 4 : at + 2 + size]
        at += 2 + size


def _write_jpeg(path: Path, packet: Packet) -> None:
    data = path.read_bytes()
    others, end = [], 2
    for marker, payload in _segments(data):
        end += 4 + len(payload)
        if not (marker == 0xE1 and payload.startswith((_JPEG_HEAD, _JPEG_MORE))):
            others.append((marker, payload))
    own_segments = [(0xE1, _JPEG_HEAD + packet.body), *((0xE1, segment) for segment in packet.more)]
    # JFIF's segment must be the first one, and EXIF's wants to be next.
    place = next((number for number, (marker, payload) in enumerate(others)
                  if marker != 0xE0 and not payload.startswith(b"Exif")), len(others))  # fmt: skip
    segments = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
        for marker, payload in (*others[:place], *own_segments, *others[place:])
    )
    path.write_bytes(data[:2] + segments + data[_start_of_scan(data) :])


def _start_of_scan(data: bytes) -> int:
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 1 if data[at + 1] == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return at


# -- PNG


@dataclass(frozen=True)
class _ChunkForm:
    """How a format writes its chunks."""

    order: str
    kind_first: bool
    """Whether the kind stands before the size."""
    trailer: int
    """Bytes of checksum behind the payload."""
    even: bool
    """Whether payloads of odd length are followed by one more byte."""


_PNG = _ChunkForm(">", kind_first=False, trailer=4, even=False)
_RIFF = _ChunkForm("<", kind_first=True, trailer=0, even=True)


def _read_png(file: Any) -> Packet | None:
    for kind, at, length in _chunks(file, len(_PNG_SIGNATURE), _PNG):
        if kind == b"iTXt" and _payload(file, at, len(_PNG_KEYWORD)) == _PNG_KEYWORD:
            payload = _payload(file, at, _bounded(length))
            is_compressed, rest = payload[len(_PNG_KEYWORD)], payload[len(_PNG_KEYWORD) + 2 :]
            text = rest.split(b"\0", 2)[2]
            return Packet(_inflate(text) if is_compressed else text)
    return None


def _inflate(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(data, MAX_PACKET_BYTES)
    if decompressor.unconsumed_tail:
        raise PacketTooLong
    return text


def _write_png(path: Path, packet: Packet) -> None:
    parts = [_PNG_SIGNATURE]
    with path.open("rb") as file:
        for kind, at, length in _chunks(file, len(_PNG_SIGNATURE), _PNG):
            payload = _payload(file, at, length)
            if kind == b"iTXt" and payload.startswith(_PNG_KEYWORD):
                continue
            parts.append(_png_chunk(kind, payload))
            if kind == b"IHDR":
                parts.append(_png_chunk(b"iTXt", _PNG_KEYWORD + b"\0\0\0\0" + packet.body))
    path.write_bytes(b"".join(parts))


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def _chunks(file: Any, at: int, form: _ChunkForm) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind of each whole chunk, where its payload begins and how long it is."""
    file.seek(0, 2)
    total = file.tell()
    while at + 8 <= total:
        first, second = (_payload(file, at, 8)[part] for part in (slice(4), slice(4, 8)))
        kind, size = (first, second) if form.kind_first else (second, first)
        (length,) = struct.unpack(f"{form.order}I", size)
        if at + 8 + length > total:
            return
        yield kind, at + 8, length
        at += 8 + length + form.trailer + (length & 1 if form.even else 0)


def _payload(file: Any, at: int, length: int) -> bytes:
    file.seek(at)
    data: bytes = file.read(length)
    return data


# -- WebP


def _read_webp(file: Any) -> Packet | None:
    for kind, at, length in _chunks(file, 12, _RIFF):
        if kind == b"XMP ":
            return Packet(_payload(file, at, _bounded(length)))
    return None


def _write_webp(path: Path, packet: Packet) -> None:
    with path.open("rb") as file:
        old_chunks = [(kind, _payload(file, at, length)) for kind, at, length in _chunks(file, 12, _RIFF)]
    chunks = [(kind, payload) for kind, payload in old_chunks if kind != b"XMP "]
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _webp_canvas(*chunks[0])))
    kind, header = chunks[0]
    chunks[0] = kind, bytes([header[0] | 0x04]) + header[1:]
    chunks.append((b"XMP ", packet.body))
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(payload)) + payload + bytes(len(payload) & 1) for kind, payload in chunks
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def _webp_canvas(kind: bytes, payload: bytes) -> bytes:
    """Return the extended header of a file that had none, from the picture's own."""
    width, height, alpha = 0, 0, False
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", payload, 1)
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", payload, 6))
    else:
        raise ValueError("no picture")
    sides: bytes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([0x10 if alpha else 0, 0, 0, 0]) + sides


# -- TIFF


@dataclass(frozen=True)
class _Tiff:
    """The first directory of a TIFF file, classic or big."""

    order: str
    big: bool
    entries: tuple[tuple[int, int, int, bytes], ...]
    """Tag, type, count, and the field with the value or its place."""
    following: int
    """Where the next directory is."""

    @property
    def field(self) -> str:
        return f"{self.order}{'Q' if self.big else 'I'}"


def _read_tiff_directory(file: Any) -> _Tiff:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    place = struct.unpack_from(f"{order}{'Q' if big else 'I'}", head, 8 if big else 4)[0]
    file.seek(place)
    count = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
    if count > 4096:
        raise ValueError("too many tags")
    shape = f"{order}HH{'Q8s' if big else 'I4s'}"
    entries = tuple(struct.unpack(shape, file.read(struct.calcsize(shape))) for _ in range(count))
    following = struct.unpack(f"{order}{'Q' if big else 'I'}", file.read(8 if big else 4))[0]
    return _Tiff(order, big, entries, following)


def _read_tiff(file: Any) -> Packet | None:
    tiff = _read_tiff_directory(file)
    for tag, _, count, place in tiff.entries:
        if tag == _TIFF_TAG and len(place) < count:
            file.seek(struct.unpack(tiff.field, place)[0])
            body = file.read(_bounded(count))
            return Packet(body) if len(body) == count else None
    return None


def _write_tiff(path: Path, packet: Packet) -> None:
    """Append the packet and a new first directory, and point the header at it; no other byte moves."""
    with path.open("r+b") as file:
        tiff = _read_tiff_directory(file)
        file.seek(0, 2)
        file.write(bytes(-file.tell() % 8))
        body_at = file.tell()
        file.write(packet.body + bytes(-len(packet.body) % 8))
        directory_at = file.tell()
        others = [entry for entry in tiff.entries if entry[0] != _TIFF_TAG]
        own_entry = (_TIFF_TAG, _TIFF_BYTES, len(packet.body), struct.pack(tiff.field, body_at))
        shape = f"{tiff.order}HH{'Q8s' if tiff.big else 'I4s'}"
        file.write(struct.pack(f"{tiff.order}{'Q' if tiff.big else 'H'}", len(others) + 1))
        file.write(b"".join(struct.pack(shape, *entry) for entry in sorted([*others, own_entry])))
        file.write(struct.pack(tiff.field, tiff.following))
        if not tiff.big and file.tell() > 2**32:
            raise ValueError("a classic TIFF file that is full")
        file.seek(8 if tiff.big else 4)
        file.write(struct.pack(tiff.field, directory_at))


# -- JPEG 2000 and MP4


def _boxes(file: Any) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield kind, where the box begins, where its payload begins, where it ends."""
    file.seek(0, 2)
    total, at = file.tell(), 0
    while at + 8 <= total:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        payload = at + 8
        if size == 1:
            (size,), payload = struct.unpack(">Q", file.read(8)), at + 16
        stop = total if size == 0 else at + size
        if stop < payload or stop > total:
            raise ValueError("a box longer than its file")
        yield kind, at, payload, stop
        at = stop


def _own_box(file: Any) -> tuple[int, int, int] | None:
    for kind, at, payload, stop in _boxes(file):
        if kind == b"uuid":
            file.seek(payload)
            if file.read(16) == _BOX_UUID:
                return at, payload + 16, stop
    return None


def _read_boxes(file: Any) -> Packet | None:
    box = _own_box(file)
    if box is None:
        return None
    file.seek(box[1])
    return Packet(file.read(_bounded(box[2] - box[1])))


def _write_boxes(path: Path, packet: Packet) -> None:
    """Append the packet's box; an older one becomes free room, so that nothing else moves."""
    with path.open("r+b") as file:
        box = _own_box(file)
        if box is not None:
            file.seek(box[0] + 4)
            file.write(b"free")
        *_, (_, last, payload, stop) = _boxes(file)
        if payload == last + 8:  # the last box may have said "to the end of the file"
            file.seek(last)
            file.write(struct.pack(">I", stop - last))
        file.seek(0, 2)
        file.write(struct.pack(">I4s", 24 + len(packet.body), b"uuid") + _BOX_UUID + packet.body)


# -- all


@dataclass(frozen=True)
class _Kind:
    """How one format is known, read and written."""

    fits: Callable[[bytes], bool]
    read: Callable[[Any], Packet | None]
    write: Callable[[Path, Packet], None]


_KINDS = {
    "jpeg": _Kind(lambda head: head.startswith(b"\xff\xd8"), _read_jpeg, _write_jpeg),
    "png": _Kind(lambda head: head.startswith(_PNG_SIGNATURE), _read_png, _write_png),
    "tiff": _Kind(lambda head: head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}, _read_tiff, _write_tiff),
    "webp": _Kind(lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _read_webp, _write_webp),
    "boxes": _Kind(lambda head: head[4:8] in {b"jP  ", b"ftyp"}, _read_boxes, _write_boxes),
}
