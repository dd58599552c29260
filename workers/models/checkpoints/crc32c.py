"""CRC-32C (Castagnoli) of long buffers, quick without a library of its own.

A buffer is cut into lanes that are reckoned side by side and then joined two by two.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_LANE_BYTES = 256

Words = NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of a buffer of bytes."""
    lead = len(data) % _LANE_BYTES
    table = _tables()[0].tolist()
    state = _ONES
    for byte in bytes(data[:lead]):
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    if lead < len(data):
        state = _lane_state(np.frombuffer(data, "<u4", offset=lead), state)
    return state ^ _ONES


def mask_checksum(checksum: int) -> int:
    """Return a checksum in the form in which tables and bundles store it."""
    rotation = (checksum >> 15 | checksum << 17) & _ONES
    return (rotation + 0xA282EAD8) & _ONES


def _lane_state(words: Words, state: int) -> int:
    columns = np.array(words.reshape(-1, _LANE_BYTES // 4).T, order="C")
    columns[0, 0] ^= np.uint32(state)
    lanes = np.zeros(columns.shape[1], np.uint32)
    for column in columns:
        lanes = _step(lanes ^ column)
    return _join_lanes(lanes)


def _step(states: Words) -> Words:
    """Move on by the four bytes that were mixed into the states."""
    first, second, third, fourth = _tables()
    out: Words = fourth[states & 0xFF] ^ third[states >> 8 & 0xFF] ^ second[states >> 16 & 0xFF] ^ first[states >> 24]
    return out


def _join_lanes(lanes: Words) -> int:
    level = 0
    while len(lanes) > 1:
        if len(lanes) % 2:
            lanes = np.concatenate([np.zeros(1, np.uint32), lanes])
        lanes = _apply_shift(lanes[::2], _shift(level)) ^ lanes[1::2]
        level += 1
    return int(lanes[0])


def _apply_shift(states: Words, shift: Words) -> Words:
    """Move states on by zero bytes; ``shift`` says what becomes of each of the 32 bits."""
    out = np.zeros_like(states)
    for bit, image in enumerate(shift):
        out ^= np.where(states >> np.uint32(bit) & np.uint32(1), image, np.uint32(0))
    return out


@cache
def _shift(level: int) -> Words:
    """Return the shift by ``2 ** level`` lanes of zeros."""
    if level:
        return _apply_shift(_shift(level - 1), _shift(level - 1))
    states = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    for _ in range(_LANE_BYTES // 4):
        states = _step(states)
    return states


@cache
def _tables() -> Words:
    """Return for 0 to 3 zero bytes after it what each byte becomes, ``(4, 256)``."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    rows = [table]
    for _ in range(3):
        rows.append(table[rows[-1] & 0xFF] ^ rows[-1] >> 8)
    return np.stack(rows)
