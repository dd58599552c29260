"""The head of a timeline: what the per-frame values of a finished reel are, and what is marked along them.

A timeline is one blob, for pages that draw it: the length of its head in bytes (four of them, little-endian, a multiple
of four), the head as JSON with spaces behind it, then each column that the head names as little-endian float32, a value
a frame, NaN where there is none. ``workers.tasks.timeline`` writes it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from db.errors import InputError

VERSION = 1
VALUE_BYTES = 4
MOST_HEAD_BYTES = 1 << 24
"""A head of more is none of ours."""
_LENGTH = struct.Struct("<I")


def pack_head(head: Mapping[str, Any]) -> bytes:
    """Return what stands before the columns."""
    text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % VALUE_BYTES)
    return _LENGTH.pack(len(text)) + text


def read_head(data: bytes) -> dict[str, Any]:
    """Read the head at the beginning of a timeline.

    Returns:
        ``version``; ``frames``; ``rate``, frames per second as text; ``variable_rate``, whether frames are unevenly
        spaced, and a column ``seconds`` says when they begin; ``timecode`` of the first frame, or empty; ``columns`` in
        order, each with ``name``, ``metric`` (empty for what a step did), ``unit``, ``low``, ``high`` and
        ``higher_is_better`` (none where there is no bound or no better); ``shots``, the frames with which one begins,
        empty where cuts were not looked for; ``substitutes``; ``stand_ins``, half-open ranges of frames that the source
        has not; ``damaged``, what is wrong with the source, or empty; ``gates``.

    Raises:
        InputError: ``RECORD_UNREADABLE`` where the bytes begin otherwise.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
        if length > min(MOST_HEAD_BYTES, len(data) - _LENGTH.size):
            raise ValueError(f"a head of {length} bytes")
        head = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        if not isinstance(head, dict) or not isinstance(head.get("columns"), list):
            raise ValueError("no columns are named")
    except (ValueError, struct.error, RecursionError) as error:
        raise InputError(f"A timeline cannot be read: {error!s:.200}", code="RECORD_UNREADABLE") from error
    return head


def columns_at(data: bytes) -> int:
    """Return where in a timeline its first column begins, in bytes."""
    return _LENGTH.size + int(_LENGTH.unpack_from(data)[0])
