from __future__ import annotations

from fractions import Fraction

import pytest

from workers.media.timecode import add_frames, pack, unpack

NTSC, FILM = Fraction(30000, 1001), Fraction(24)


@pytest.mark.parametrize(
    ("start", "frames", "rate", "expected"),
    [
        ("01:00:00:00", 1, FILM, "01:00:00:01"),
        ("01:00:00:23", 1, FILM, "01:00:01:00"),
        ("00:59:59:23", 1, Fraction(24000, 1001), "01:00:00:00"),
        ("00:00:00:15", 1, Fraction(16), "00:00:01:00"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:00:00", -1, Fraction(25), "23:59:59:24"),
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:01:00;02", -1, NTSC, "00:00:59;29"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("23:59:59;29", 1, NTSC, "00:00:00;00"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("", 5, FILM, ""),
        ("rubbish", 5, FILM, ""),
    ],
)
def test_timecode_counts_on(start: str, frames: int, rate: Fraction, expected: str) -> None:
    assert add_frames(start, frames, rate) == expected


def test_drop_frame_keeps_up_with_the_clock() -> None:
    """An hour of 29.97 has 107,892 frames, a day 2,589,408 (SMPTE ST 12-1)."""
    assert add_frames("00:00:00;00", 107_892, NTSC) == "01:00:00;00"
    assert add_frames("10:20:30;10", 2_589_408, NTSC) == "10:20:30;10"
    seen = [add_frames("00:00:00;00", frame, NTSC) for frame in range(17_983)]
    assert len(set(seen)) == len(seen)
    assert not {f"00:{minute:02d}:00;{frame:02d}" for minute in range(1, 10) for frame in (0, 1)} & set(seen)
    assert all(add_frames(seen[frame], -frame, NTSC) == "00:00:00;00" for frame in range(0, len(seen), 97))


def test_the_packed_form_goes_there_and_back() -> None:
    for text in ("01:02:03:04", "23:59:59;29", "00:00:00:01"):
        assert unpack(pack(text)) == text
    assert unpack(0x01020304) == "01:02:03:04"
    assert unpack(0x81828384 & ~0x30) == "01:02:03:04"
    assert [unpack(rubbish) for rubbish in (0, 0xFFFFFFFF, 0x0A000000)] == ["", "", ""]
    with pytest.raises(ValueError, match="no timecode"):
        pack("noon")
