"""Changes along a format's own structure: blind ones seldom come past a header, and coverage does not lead there."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf", b"meta", b"cmov"}


def mutate(data: bytes, seed: int) -> bytes:
    """Change a piece of a file of any kind: a box, a chunk, a word; what holds it keeps its form."""
    dice = random.Random(seed)
    if data[4:8] in {b"ftyp", b"moov", b"jP  "}:
        return _change_boxes(data, dice)
    if data.startswith(b"\x89PNG"):
        return _change_chunks(data, dice)
    return _change_words(data, dice)


def _change_words(data: bytes, dice: random.Random) -> bytes:
    """Overwrite words at even places, cut pieces out, or double them."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 2, 5))):
        if not out:
            break
        at = dice.randrange(len(out))
        kind = dice.randrange(4)
        if kind < 2:
            order, size = dice.choice("<>"), dice.choice("BHI")
            width = struct.calcsize(size)
            word = struct.pack(order + size, dice.choice(_WORDS) & (1 << 8 * width) - 1)
            out[at : at + width] = word
        elif kind == 2:
            del out[at : at + dice.randrange(1, 20)]
        else:
            out[at:at] = out[at : at + dice.randrange(1, 40)]
    return bytes(out)


def _change_boxes(data: bytes, dice: random.Random) -> bytes:
    boxes = list(_boxes(data))
    if not boxes:
        return _change_words(data, dice)
    place = dice.randrange(len(boxes))
    kind, body = boxes[place]
    action = dice.randrange(6)
    if kind in _HOLDERS and action < 4:
        boxes[place] = kind, _change_boxes(body, dice)
    elif action < 3:
        boxes[place] = kind, _change_words(body, dice)
    elif action == 3:
        boxes.insert(dice.randrange(len(boxes) + 1), boxes[place])
    elif action == 4:
        del boxes[place]
    else:
        boxes[place] = dice.choice(boxes)[0], body
    return b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in boxes)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        stop = at + size if 8 <= size <= len(data) - at else len(data)
        yield kind, data[at + 8 : stop]
        at = stop


def _change_chunks(data: bytes, dice: random.Random) -> bytes:
    """Change a chunk of a PNG, packed data among it, and reckon its checksum anew."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        chunks.append((name, data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return _change_words(data, dice)
    place = dice.randrange(len(chunks))
    name, body = chunks[place]
    if name == b"IDAT" and dice.random() < 0.5:
        body = _change_packed(body, dice)
    chunks[place] = name, _change_words(body, dice)
    if dice.random() < 0.2:
        chunks.insert(dice.randrange(len(chunks)), dice.choice(chunks))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _change_packed(body: bytes, dice: random.Random) -> bytes:
    try:
        return zlib.compress(_change_words(zlib.decompress(body), dice))
    except zlib.error:
        return body
