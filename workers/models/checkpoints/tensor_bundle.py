"""Reads TensorFlow 2 checkpoints (tensor bundle v2) without TensorFlow.

A checkpoint is ``<prefix>.index``, a sorted table of names with shapes and places, and ``<prefix>.data-00000-of-00001``
(or several) with the raw values. The files come from outside: every size, offset and count is checked before use.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError, nearest
from workers.models.checkpoints.crc32c import crc32c, mask_checksum

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES, _TRAILER_BYTES = 48, 5
_INDEX_LIMIT, _BLOCK_LIMIT = 16 << 20, 4 << 20
_NAME_LIMIT, _NAMES_LIMIT, _SHARDS_LIMIT, _RANK_LIMIT = 1024, 65536, 1000, 8
FLOAT32 = 1
"""TensorFlow's number of that value type."""
_TYPES = {FLOAT32: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 6: "|i1", 9: "<i8", 10: "|b1", 19: "<f2"}


class BundleEntry(NamedTuple):
    """One tensor, as the index describes it."""

    type: int
    """TensorFlow's number of the value type."""
    shape: tuple[int, ...]
    shard: int
    offset: int
    """In bytes, in its shard."""
    size: int
    """In bytes."""
    checksum: int
    """Masked CRC-32C of the bytes."""
    sliced: bool
    """Whether it is stored in parts under other names, which is not supported."""


class Bundle:
    """An opened checkpoint.

    Attributes:
        entries: What it holds, by name.

    Raises:
        InputError: The index is missing or damaged (``BAD_CHECKPOINT``).
    """

    def __init__(self, prefix: str | Path) -> None:
        self._prefix = str(prefix)
        path = Path(f"{prefix}.index")
        self._shards, self.entries = _parse_index(_read_index(path), path)

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return the named tensors.

        Raises:
            InputError: One is missing, of an unsupported kind, or its bytes are missing or damaged.
        """
        return {name: self._tensor(name) for name in names}

    def _tensor(self, name: str) -> NDArray[Any]:
        entry = self.entries.get(name)
        if entry is None:
            _refuse(f"{self._prefix}.index has no {name!r}.{nearest(name, self.entries)}")
        path = Path(f"{self._prefix}.data-{entry.shard:05d}-of-{self._shards:05d}")
        where = f"{name!r} in {path}"
        dtype = _dtype(entry, where)
        if entry.shard >= self._shards:
            _refuse(f"{where}: there are only {self._shards} data files.")
        try:
            with path.open("rb") as file:
                data = _read_tensor_bytes(file, entry, where)
        except OSError as error:
            _refuse(f"{path} cannot be read: {error.strerror or error}", error)
        return np.frombuffer(data, dtype).reshape(entry.shape)


def _dtype(entry: BundleEntry, where: str) -> np.dtype[Any]:
    if entry.sliced or entry.type not in _TYPES:
        _refuse(f"{where}: value type {entry.type}{' in slices' if entry.sliced else ''} is not supported.")
    dtype = np.dtype(_TYPES[entry.type])
    # Of an empty tensor, too, the other sides have to be such as an array can have.
    if math.prod(entry.shape) * dtype.itemsize != entry.size or math.prod(side or 1 for side in entry.shape) > 1 << 40:
        _refuse(f"{where}: {entry.size} bytes are not the size of {entry.shape} of {dtype}.")
    return dtype


def _read_tensor_bytes(file: BinaryIO, entry: BundleEntry, where: str) -> bytearray:
    if entry.offset + entry.size > file.seek(0, 2):
        _refuse(f"{where}: the file ends before byte {entry.offset + entry.size}.")
    file.seek(entry.offset)
    data = bytearray(file.read(entry.size))
    if len(data) != entry.size:
        _refuse(f"{where}: the file ends too early.")
    if mask_checksum(crc32c(memoryview(data))) != entry.checksum:
        _refuse(f"{where}: the checksum differs.")
    return data


# -- the index


def _read_index(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            table = file.read(_INDEX_LIMIT + 1)
    except OSError as error:
        _refuse(f"{path} cannot be read: {error.strerror or error}", error)
    if len(table) > _INDEX_LIMIT:
        _refuse(f"{path} is larger than any index ({_INDEX_LIMIT} bytes).")
    return table


def _parse_index(table: bytes, path: Path) -> tuple[int, dict[str, BundleEntry]]:
    """Return the number of shards and the entries."""
    try:
        messages = _table_messages(table)
        shards = _shard_count(messages.pop(b"", b""))
        return shards, {name.decode(): _parse_entry(message) for name, message in messages.items()}
    except _DamagedIndex as damage:
        _refuse(f"{path}: {damage}", damage)
    except UnicodeDecodeError as error:
        _refuse(f"{path}: a name is not text.", error)


class _DamagedIndex(Exception):
    """The index is not what it should be; the message says where."""


def _refuse(message: str, cause: Exception | None = None) -> NoReturn:
    raise InputError(message, code="BAD_CHECKPOINT") from cause


def _require(truth: bool, damage: str) -> None:
    if not truth:
        raise _DamagedIndex(damage)


def _table_messages(table: bytes) -> dict[bytes, bytes]:
    _require(len(table) >= _FOOTER_BYTES and table.endswith(_MAGIC), "this is no index of a TensorFlow 2 checkpoint")
    footer = table[-_FOOTER_BYTES:]
    _, at = _read_extent(footer, 0)
    (start, size), _ = _read_extent(footer, at)
    messages: dict[bytes, bytes] = {}
    after = 0
    for _, value in _block_pairs(_read_block(table, start, size)):
        (start, size), _ = _read_extent(value, 0)
        _require(start >= after, "blocks overlap")
        after = start + size
        before = len(messages)
        for name, message in _block_pairs(_read_block(table, start, size)):
            _require(name not in messages, f"{name!r} is there twice")
            messages[name] = message
            _require(len(messages) <= _NAMES_LIMIT, "there are too many names")
        _require(len(messages) > before, "a block is empty")
    return messages


def _read_extent(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _read_varint(data, at)
    size, at = _read_varint(data, at)
    return (start, size), at


def _read_block(table: bytes, start: int, size: int) -> bytes:
    end = start + size
    _require(
        end + _TRAILER_BYTES <= len(table) - _FOOTER_BYTES and size <= _BLOCK_LIMIT, "a block lies outside the file"
    )
    kind = table[end]
    (checksum,) = struct.unpack_from("<I", table, end + 1)
    _require(mask_checksum(crc32c(table[start : end + 1])) == checksum, "a block's checksum differs")
    _require(kind in (0, 1), f"a block is compressed in an unknown way ({kind})")
    return _decompress_snappy(table[start:end]) if kind else table[start:end]


def _block_pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values; a key is stored as how much it shares with the one before, and the rest."""
    _require(len(block) >= 4, "a block is too short")
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * restarts
    _require(end >= 0, "a block has more restarts than bytes")
    at, key = 0, b""
    while at < end:
        shared, at = _read_varint(block, at)
        tail, at = _read_varint(block, at)
        size, at = _read_varint(block, at)
        _require(shared <= len(key) and shared + tail <= _NAME_LIMIT, "a name is damaged or too long")
        _require(at + tail + size <= end, "an entry ends outside its block")
        key = key[:shared] + block[at : at + tail]
        yield key, block[at + tail : at + tail + size]
        at += tail + size


def _decompress_snappy(packed: bytes) -> bytes:
    """Undo snappy: literal runs, and copies out of what was already written."""
    size, at = _read_varint(packed, 0)
    _require(size <= _BLOCK_LIMIT, "a block is too large")
    out = bytearray()
    while at < len(packed):
        run, back, at = _read_element(packed, at)
        if back:
            _require(back <= len(out), "a block copies from before its start")
            piece = bytes(out[-back:])
            out += (piece * -(-run // back))[:run]
        else:
            _require(at + run <= len(packed), "a block ends too early")
            out += packed[at : at + run]
            at += run
        _require(len(out) <= size, "a block is longer than it says")
    _require(len(out) == size, "a block is shorter than it says")
    return bytes(out)


def _read_element(packed: bytes, at: int) -> tuple[int, int, int]:
    """Return the length of the next run, how far back it is copied from (0: a literal follows), and where to go on."""
    tag = packed[at]
    high, at = tag >> 2, at + 1
    kind = tag & 3
    if kind == 0:
        if high < 60:
            return high + 1, 0, at
        run, at = _read_fixed(packed, at, high - 59)
        return run + 1, 0, at
    back, after = _read_fixed(packed, at, (1, 2, 4)[kind - 1])
    run = high + 1
    if kind == 1:
        run, back = 4 + (high & 7), back | (high >> 3) << 8
    _require(back > 0, "a block copies nothing")
    return run, back, after


def _read_fixed(data: bytes, at: int, size: int) -> tuple[int, int]:
    _require(at + size <= len(data), "a block ends too early")
    return int.from_bytes(data[at : at + size], "little"), at + size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        _require(at < len(data), "a number ends too early")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            _require(value < 1 << 63, "a number is out of range")
            return value, at
    raise _DamagedIndex("a number is too long")


# -- the messages in it (protocol buffers)


def _message_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value: int | bytes
        match tag & 7:
            case 0:
                value, at = _read_varint(message, at)
            case 1 | 5 as kind:
                value, at = _read_fixed(message, at, 8 if kind == 1 else 4)
            case 2:
                size, at = _read_varint(message, at)
                _require(at + size <= len(message), "a message ends too early")
                value, at = message[at : at + size], at + size
            case kind:
                raise _DamagedIndex(f"a message has a field of kind {kind}")
        yield tag >> 3, value


def _whole_number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _DamagedIndex("a field is text where a number belongs")
    return value


def _submessage(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _DamagedIndex("a field is a number where a message belongs")
    return value


def _shard_count(header: bytes) -> int:
    fields = dict(_message_fields(header))
    shards = _whole_number(fields.get(1, 0))
    _require(1 <= shards <= _SHARDS_LIMIT, f"it counts {shards} data files")
    _require(not _whole_number(fields.get(2, 0)), "its numbers are big-endian, which is not supported")
    return shards


def _parse_entry(message: bytes) -> BundleEntry:
    numbers = dict.fromkeys((1, 3, 4, 5, 6), 0)
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in _message_fields(message):
        if number in numbers:
            numbers[number] = _whole_number(value)
        elif number == 2:
            shape = _parse_shape(_submessage(value))
        elif number == 7:
            sliced = True
    return BundleEntry(
        type=numbers[1],
        shape=shape,
        shard=numbers[3],
        offset=numbers[4],
        size=numbers[5],
        checksum=numbers[6],
        sliced=sliced,
    )


def _parse_shape(message: bytes) -> tuple[int, ...]:
    sides = [_submessage(value) for number, value in _message_fields(message) if number == 2]
    _require(len(sides) <= _RANK_LIMIT, "a tensor has too many dimensions")
    return tuple(_whole_number(dict(_message_fields(side)).get(1, 0)) for side in sides)
