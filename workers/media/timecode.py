"""SMPTE timecode: text, frame counts and the packed form of headers.

Drop-frame timecode (written with ``;`` before the frames) leaves out the first two numbers of every minute but each
tenth at 29.97 frames per second, and four at 59.94, so that it keeps up with the clock (SMPTE ST 12-1).
"""

from __future__ import annotations

import re
from fractions import Fraction

_TEXT = re.compile(r"([0-2]\d):([0-5]\d):([0-5]\d)([:;])(\d\d)")
_DROP_BIT = 0x40
_FLAGS = 0xC08080C0
"""Bits of the packed form that are no digits: drop frame, colour frame, field phase and binary group flags."""


def frame_base(rate: Fraction) -> int:
    """Return how many frames timecode counts in a second: 24 for 24000/1001, 17 for 50/3."""
    return max(1, round(rate))


def add_frames(start: str, frames: int, rate: Fraction) -> str:
    """Return the timecode ``frames`` later, round the clock; empty stays empty, and so does what is no timecode.

    Args:
        start: ``HH:MM:SS:FF``, or ``HH:MM:SS;FF`` for drop frame.
        frames: How many frames later, or earlier when below 0.
        rate: Frames per second.
    """
    match = _TEXT.fullmatch(start)
    if not match:
        return ""
    base = frame_base(rate)
    drop_count = _drop_count(base) if match[4] == ";" else 0
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    whole_minutes = 60 * hours + minutes
    count = (60 * whole_minutes + seconds) * base + frame - drop_count * (whole_minutes - whole_minutes // 10)
    return _format(count + frames, base, drop_count)


def convert_rate(code: str, before: Fraction, after: Fraction) -> str:
    """Return the timecode of the same moment where frames are counted at another rate; drop frame is given up.

    Args:
        code: As :func:`add_frames` takes it.
        before: Frames per second that it counts.
        after: Frames per second to count.
    """
    match = _TEXT.fullmatch(code)
    if not match or frame_base(before) == frame_base(after):
        return code
    return f"{match[1]}:{match[2]}:{match[3]}:{int(match[5]) * frame_base(after) // frame_base(before):02d}"


def unpack(code: int) -> str:
    """Return the text of a packed timecode (SMPTE ST 12-1, as in DPX and EXR); empty for rubbish and for all zeros."""
    digits = f"{code & ~_FLAGS:08x}"
    # All zeros is what a writer leaves that knows nothing of timecode.
    if not code or not re.fullmatch(r"[0-2]\d[0-5]\d[0-5]\d\d\d", digits):
        return ""
    hours, minutes, seconds, frames = (digits[at : at + 2] for at in (0, 2, 4, 6))
    return f"{hours}:{minutes}:{seconds}{';' if code & _DROP_BIT else ':'}{frames}"


def pack(text: str) -> int:
    """Return the packed form of a timecode; raises ``ValueError`` for any other text."""
    match = _TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r:.40} is no timecode")
    value = int("".join(match.group(1, 2, 3, 5)), 16)
    return value | (_DROP_BIT if match[4] == ";" else 0)


def _drop_count(base: int) -> int:
    return base // 15 if base in {30, 60, 120} else 0


def _format(count: int, base: int, drop_count: int) -> str:
    a_minute, ten = 60 * base - drop_count, 600 * base - 9 * drop_count
    count %= 144 * ten
    if drop_count:
        tens, rest = divmod(count, ten)
        # The first minute of ten drops nothing.
        count += drop_count * (9 * tens + max(0, (rest - drop_count) // a_minute))
    seconds, frame = divmod(count, base)
    mark = ";" if drop_count else ":"
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{frame:02d}"
