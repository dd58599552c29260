"""Matroska that lost its end: no frame that is shown last need be among what is not there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from db.errors import InputError
from tests.support.reels import House, house, item, moving, probed
from workers.media.film import matroska

CUES = bytes.fromhex("1c53bb6b")


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A film whose last packet is shown before others."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(25), options={"bf": "3", "x264-params": "b-adapt=0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for (plane,) in moving(47, 48, 64):
            frame = av.VideoFrame.from_ndarray(np.vstack([plane, np.full((24, 64), 128, np.uint8)]), format="yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _last_packet(path: Path) -> int:
    with av.open(str(path)) as film:
        packets = [packet for packet in film.demux(video=0) if packet.size]
    assert packets[-1].pts < max(packet.pts for packet in packets)
    return int(packets[-1].pos)


def test_a_film_that_lost_its_last_packet_is_cut_off_whatever_is_shown_last(at: House, whole: Path) -> None:
    assert probed(at, item(whole)).facts is not None
    whole.write_bytes(whole.read_bytes()[: _last_packet(whole)])
    with pytest.raises(InputError, match="declared bytes are not there") as caught:
        probed(at, item(whole))
    assert caught.value.code == "TRUNCATED"
    facts = probed(at, item(whole, accept_damaged=True)).facts
    assert facts is not None
    assert facts.frame_count == 46


@pytest.mark.parametrize("rest", [0, 2, 9])
def test_a_film_that_lost_its_index_alone_is_noted(at: House, whole: Path, rest: int) -> None:
    body = whole.read_bytes()
    whole.write_bytes(body[: body.rindex(CUES) + rest])
    facts = probed(at, item(whole)).facts
    assert facts is not None
    assert facts.frame_count == 47
    lost = len(body) - whole.stat().st_size
    assert facts.notes == (f"The file lacks its end, {lost} bytes: its index and what stood behind it, no frames.",)


def test_a_film_of_no_declared_size_lost_nothing(whole: Path) -> None:
    body, segment = whole.read_bytes(), bytes.fromhex("18538067")
    place = body.index(segment) + 4
    whole.write_bytes(body[:place] + b"\x01" + b"\xff" * 7 + body[place + 8 :][:-400])
    assert matroska.lost_end(whole)[0] == 0


@pytest.mark.parametrize("body", [b"", bytes.fromhex("18538067"), bytes.fromhex("1853806700"), b"\x1a\x45\xdf\xa3" * 9])
def test_of_what_is_no_matroska_nothing_is_said(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.mkv").write_bytes(body)
    assert matroska.lost_end(tmp_path / "a.mkv")[0] == 0
