"""Checks the checksums inside FFV1 packets, which FFmpeg's decoder repairs in silence.

A packet is a row of slices; each ends with its size in three bytes and, where the film has checksums, one byte of
status and four of CRC, so that the CRC over the whole slice is zero (RFC 9043, section 4.9).
"""

from __future__ import annotations

import zlib
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

_SIZE_BYTES = 3
_TAIL_BYTES = _SIZE_BYTES + 5
# FFV1 runs its CRC from the highest bit; zlib runs the same polynomial from the lowest.
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def has_checksums(packet: bytes) -> bool:
    """Return whether a packet is a row of slices that end with checksums; older and unchecked FFV1 is not."""
    return bool(_split_slices(packet))


def count_damaged_slices(packet: bytes) -> int:
    """Return how many slices of a packet with checksums are damaged; all of them count as one where none is found."""
    parts = _split_slices(packet)
    return sum(_crc(part) != 0 for part in parts) if parts else 1


class SliceChecker:
    """Looks at the checksums inside of a film's packets, where it has any."""

    def __init__(self, stream: VideoStream) -> None:
        self._has_checksums: bool | None = None if stream.codec_context.name == "ffv1" else False

    def is_damaged(self, packet: Packet[Any]) -> bool:
        """Whether slices of a picture's packet fail their checksum; the first packet says whether they have one."""
        if self._has_checksums is False:
            return False
        samples = bytes(packet)
        if self._has_checksums is None:
            self._has_checksums = has_checksums(samples)
        return self._has_checksums and bool(count_damaged_slices(samples))


def _split_slices(packet: bytes) -> list[bytes]:
    """Cut a packet into its slices from the back; nothing when the sizes do not add up."""
    parts, end = [], len(packet)
    while end >= _TAIL_BYTES:
        size_at = end - _TAIL_BYTES
        start = size_at - int.from_bytes(packet[size_at : size_at + _SIZE_BYTES], "big")
        if start < 0:
            return []
        parts.append(packet[start:end])
        end = start
    return parts if end == 0 else []


def _crc(data: bytes) -> int:
    """Return the CRC-32 of FFV1: from zero and without a last turn."""
    return zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
