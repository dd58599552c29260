"""Writes small TensorFlow 2 checkpoints (tensor bundle v2), whole or with chosen damage."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.models.checkpoints.crc32c import crc32c, mask_checksum

Tensors = Mapping[str, NDArray[Any] | bytes]
"""By name; bytes stand for a string."""
_MAGIC = bytes.fromhex("57fb808b247547db")
_TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}


def write(prefix: Path, tensors: Tensors, *, snappy: bool = False, shards: int = 1) -> None:
    """Write ``<prefix>.index`` and its data files, tensors dealt out to ``shards`` files in turn."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    data = [bytearray() for _ in range(shards)]
    messages = {"": header(shards)}
    for number, name in enumerate(sorted(tensors)):
        shard = number % shards
        messages[name] = _entry(tensors[name], shard, data[shard])
    Path(f"{prefix}.index").write_bytes(table(messages, snappy=snappy))
    for shard, content in enumerate(data):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)


def table(messages: Mapping[str, bytes], *, snappy: bool = False) -> bytes:
    """Return an index of one data block."""
    out = bytearray()
    block = (0, _append(out, pairs(messages), snappy))
    meta = (len(out), _append(out, pairs({}), False))
    index = (len(out), _append(out, pairs({"~": _handle(block)}), False))
    return bytes(out) + (_handle(meta) + _handle(index)).ljust(40, b"\0") + _MAGIC


def pairs(messages: Mapping[str, bytes]) -> bytes:
    """Return a block: each key without what it shares with the one before."""
    out, before = bytearray(), b""
    for name in sorted(messages, key=str.encode):
        key, message = name.encode(), messages[name]
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(message)) + key[shared:] + message
        before = key
    return bytes(out) + struct.pack("<II", 0, 1)


def header(shards: int, *, big_endian: bool = False) -> bytes:
    return _number(1, shards) + _number(2, int(big_endian)) + _text(3, _number(1, 1))


def entry(type_: int, shape: tuple[int, ...], *, shard: int = 0, offset: int = 0, size: int = 0, crc: int = 0) -> bytes:
    sides = b"".join(_text(2, _number(1, side)) for side in shape)
    numbers = _number(1, type_) + _text(2, sides) + _number(3, shard) + _number(4, offset) + _number(5, size)
    return numbers + varint(6 << 3 | 5) + struct.pack("<I", crc)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _entry(tensor: NDArray[Any] | bytes, shard: int, data: bytearray) -> bytes:
    offset = len(data)
    raw = tensor if isinstance(tensor, bytes) else np.ascontiguousarray(tensor).tobytes()
    data += raw
    type_, shape = (7, ()) if isinstance(tensor, bytes) else (_TYPES[str(tensor.dtype)], tensor.shape)
    return entry(type_, shape, shard=shard, offset=offset, size=len(raw), crc=mask_checksum(crc32c(raw)))


def _append(out: bytearray, block: bytes, snappy: bool) -> int:
    stored = packed(block) if snappy else block
    trailed = stored + bytes([snappy])
    out += trailed + struct.pack("<I", mask_checksum(crc32c(trailed)))
    return len(stored)


def packed(block: bytes) -> bytes:
    """Compress with snappy, plainly: what four bytes began before is copied, the rest is literal."""
    out, literal, seen = bytearray(varint(len(block))), bytearray(), dict[bytes, int]()
    at = 0
    while at < len(block):
        start = seen.get(block[at : at + 4], -1)
        seen[block[at : at + 4]] = at
        run = _run(block, start, at) if start >= 0 else 0
        if run < 4:
            literal.append(block[at])
            at += 1
            continue
        out += _literal(literal) + _copy(run, at - start)
        literal.clear()
        at += run
    return bytes(out + _literal(literal))


def _run(block: bytes, start: int, at: int) -> int:
    run = 0
    while run < 60 and at + run < len(block) and block[start + run] == block[at + run]:
        run += 1
    return run


def _literal(run: bytearray) -> bytes:
    if not run:
        return b""
    length = len(run) - 1
    return (bytes([length << 2]) if length < 60 else bytes([61 << 2]) + struct.pack("<H", length)) + run


def _copy(run: int, back: int) -> bytes:
    if run < 12 and back < 2048:
        return bytes([1 | run - 4 << 2 | back >> 8 << 5, back & 0xFF])
    return bytes([2 | run - 1 << 2]) + struct.pack("<H", back)


def _handle(place: tuple[int, int]) -> bytes:
    return varint(place[0]) + varint(place[1])


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def _text(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value
