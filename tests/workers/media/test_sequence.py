from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

from workers.media.sequence import dpx_rate_and_timecode, spelled


def _header(path: Path, order: str, *, offset: int = 2048, rate: float = 0.0, timecode: int = 0) -> Path:
    head = bytearray(2048)
    head[:4] = b"SDPX" if order == ">" else b"XPDS"
    struct.pack_into(f"{order}I", head, 4, offset)
    struct.pack_into(f"{order}f", head, 1724, rate)
    struct.pack_into(f"{order}I", head, 1920, timecode)
    path.write_bytes(head)
    return path


def test_numbers_are_spelled_as_ranges() -> None:
    assert spelled([3, 6, 7, 8, 10]) == "3, 6-8, 10"
    assert spelled(list(range(0, 100, 2))).endswith("and 30 more ranges")


def test_dpx_headers_of_both_byte_orders_give_rate_and_timecode(tmp_path: Path) -> None:
    for order in "<>":
        path = _header(tmp_path / "a.dpx", order, rate=18.0, timecode=0x01020304)
        assert dpx_rate_and_timecode(path) == (18, "01:02:03:04")
    assert dpx_rate_and_timecode(_header(tmp_path / "b.dpx", "<", rate=23.976))[0] == Fraction(24000, 1001)


def test_rubbish_in_dpx_headers_counts_as_absent(tmp_path: Path) -> None:
    assert dpx_rate_and_timecode(_header(tmp_path / "a.dpx", "<", rate=-1e-29, timecode=0xFFFFFFFF)) == (None, "")
    assert dpx_rate_and_timecode(_header(tmp_path / "b.dpx", "<", rate=24, offset=1664)) == (None, "")
    (tmp_path / "c.dpx").write_bytes(b"SDPX")
    assert dpx_rate_and_timecode(tmp_path / "c.dpx") == (None, "")
