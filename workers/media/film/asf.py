"""How long a Windows Media file says it is: FFmpeg leaves all lengths out where the file is shorter than that."""

from __future__ import annotations

import struct
from contextlib import closing

from workers.media.remote import Place, as_film, size_of

_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Mark of the object that tells of the whole file (Advanced Systems Format, 3.2)."""
_HEADER_BYTES = 1 << 16
_LEAST_BYTES = 100
_DATA_OBJECT_BYTES = 50
"""Before the first packet."""
_IS_BROADCAST = 1
"""Of its flags: written while it was sent, so that no length is known."""


def shortfall(place: Place) -> str:
    """Say how many of the packets that the header declares are not there; empty where all are, or it does not say."""
    with closing(as_film(place).open("rb")) as file:
        head = file.read(_HEADER_BYTES)
    at = head.find(_PROPERTIES)
    if at < 0 or len(head) < at + _LEAST_BYTES:
        return ""
    (header_bytes,) = struct.unpack_from("<Q", head, 16)
    (count,) = struct.unpack_from("<Q", head, at + 56)
    flags, packet_bytes, most_bytes = struct.unpack_from("<III", head, at + 88)
    if flags & _IS_BROADCAST or not packet_bytes or packet_bytes != most_bytes:
        return ""
    there = max(0, size_of(place) - header_bytes - _DATA_OBJECT_BYTES) // packet_bytes
    return f"{there} of {count} declared packets are there" if there < count else ""
