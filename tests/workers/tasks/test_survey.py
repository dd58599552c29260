"""A long film is known by its packets, surveyed in parallel, and comes to what one decode from end to end finds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from db.errors import InputError
from db.records import ItemView, ReelFacts
from db.states import TaskKind
from tests.support.reels import House, film, house, item, moving, order, surveyed, whole_life
from workers.media import index
from workers.media.film import packet_scan
from workers.tasks import probe

VARIED = [0, 40, 130, 170, 400, 441, 480, 500, 1000, 1040, 1100, 1200, 1300, 1390, 1500, 1600, 1700, 1800, 1900, 2000]
CLOSED = {"g": "6", "bf": "2", "flags": "+cgop"}


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.fixture(autouse=True)
def _take_short_films_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_scan, "LEAST_FRAMES", 2)


def _yuv(count: int, height: int = 48, width: int = 64) -> list[Any]:
    return [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(count, height, width)]


def _packets_probed(at: House, item_: ItemView) -> ItemView:
    facts = probe.probe(order(item_, TaskKind.PROBE), at.bench()).facts
    return item_.model_copy(update={"facts": facts})


def _whole(at: House, item_: ItemView) -> ReelFacts:
    facts = probe.probe_whole(order(item_, TaskKind.PROBE), at.bench()).facts
    assert facts is not None
    return facts


def _same(at: House, one: ReelFacts, other: ReelFacts) -> None:
    left, right = (index.loads(at.store.read(facts.index)) for facts in (one, other))
    assert left.time_base == right.time_base
    for name in ("pts", "key", "digest", "shows"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    assert one.model_copy(update={"index": other.index}) == other


FILMS: dict[str, Callable[[Path], Path]] = {
    "ffv1": lambda to: film(to / "a.mkv", moving(20), "gray", sound="aac"),
    "ffv1 of 16 bits": lambda to: film(to / "a.mkv", moving(20, channels=3, bits=16), "yuv444p16le"),
    "of any times": lambda to: film(to / "a.mkv", moving(20), "gray", pts=VARIED),
    "h264": lambda to: film(to / "a.mp4", _yuv(30), "yuv420p", codec="libx264", options=CLOSED, sound="aac"),
    "h264 begun late": lambda to: film(to / "a.mkv", _yuv(30), "yuv420p", codec="libx264", options=CLOSED,
                                       lead_seconds=Fraction(5)),
    "hevc": lambda to: film(to / "a.mkv", _yuv(20), "yuv420p", codec="libx265", options={"x265-params": "log-level=0"}),
    "prores": lambda to: film(to / "a.mov", [[p[0], p[0][:, ::2], p[0][:, 1::2]] for p in moving(20, bits=10)],
                              "yuv422p10le", codec="prores_ks"),
    "mjpeg": lambda to: film(to / "a.avi", _yuv(20), "yuvj420p", codec="mjpeg"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILMS)
def test_it_comes_to_what_decoding_from_end_to_end_does(at: House, tmp_path: Path, name: str) -> None:
    item_ = item(FILMS[name](tmp_path))
    by_packets = _packets_probed(at, item_)
    assert by_packets.facts is not None
    assert not by_packets.facts.surveyed
    whole = _whole(at, item_)
    for frames in (7, 64):
        found = surveyed(at, by_packets, frames).facts
        assert found is not None
        _same(at, found, whole)


@pytest.mark.parametrize("recipe", ["[]", "[deflicker, {denoise: {method: temporal, radius: 1}}]"])
def test_a_reel_comes_out_the_same_to_the_bit(
    at: House, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", _yuv(30), "yuv420p", codec="libx264", options=CLOSED)
    _, by_packets = whole_life(at, item(path, recipe))
    monkeypatch.setattr(packet_scan, "LEAST_FRAMES", 1000)
    _, whole = whole_life(at, item(path, recipe))
    for name in ("master", "access", "framemd5", "scores"):
        assert by_packets.outputs[name].sha256 == whole.outputs[name].sha256


def _spoil(path: Path, plain: Path, change: Callable[[int, bytearray], bytes | None]) -> Path:
    """The same film, each packet as ``change`` makes it of its number and bytes; none leaves it out."""
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            body = change(number, bytearray(bytes(packet)))
            if body is not None:
                copy = av.Packet(bytes(body))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, picture
                out.mux_one(copy)
    return path


def _spoilt_at(place: int) -> Callable[[int, bytearray], bytes]:
    def change(number: int, body: bytearray) -> bytes:
        if number == place:
            at = len(body) // 2
            body[at:] = np.random.default_rng(1).integers(0, 256, len(body) - at, dtype=np.uint8).tobytes()
        return bytes(body)

    return change


@pytest.mark.parametrize(("codec", "pixels"), [("ffv1", "gray"), ("libx264", "yuv420p")])
def test_damage_that_no_window_shows_is_told_as_always(
    at: House, tmp_path: Path, codec: str, pixels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving(60) if codec == "ffv1" else _yuv(60)
    plain = film(tmp_path / "plain.mkv", frames, pixels, codec=codec, options=CLOSED if codec != "ffv1" else {})
    monkeypatch.setattr(packet_scan, "_WINDOWS", 2)
    monkeypatch.setattr(packet_scan, "_WINDOW_FRAMES", 2)
    item_ = _packets_probed(at, item(_spoil(tmp_path / "a.mkv", plain, _spoilt_at(30))))
    assert item_.facts is not None
    assert not item_.facts.surveyed
    with pytest.raises(InputError) as early:
        _whole(at, item_)
    for frames_each in (7, 64):
        with pytest.raises(InputError) as late:
            surveyed(at, item_, frames_each)
        assert (late.value.code, late.value.message) == (early.value.code, early.value.message)


def test_damage_that_is_accepted_is_copied_and_measured(at: House, tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mkv", moving(60), "gray")
    path = _spoil(tmp_path / "a.mkv", plain, _spoilt_at(33))
    found, result = whole_life(at, item(path, "[deflicker]", accept_damaged=True))
    assert found.facts is not None
    assert found.facts.mezzanine is not None
    assert "33" in found.facts.damaged
    assert result.frames == found.facts.frame_count == _whole(at, found).frame_count


def test_a_film_of_which_a_decoder_cannot_start_everywhere_comes_out_the_same(at: House, tmp_path: Path) -> None:
    options = {"x264-params": "keyint=6:min-keyint=6:open-gop=1:bframes=3:scenecut=0"}
    path = film(tmp_path / "a.mkv", _yuv(40), "yuv420p", codec="libx264", options=options)
    item_ = _packets_probed(at, item(path))
    found, whole = surveyed(at, item_, 7).facts, _whole(at, item_)
    assert found is not None
    left, right = (index.loads(at.store.read(facts.index)) for facts in (found, whole))
    assert np.array_equal(left.digest, right.digest)
    assert (found.mezzanine is None) == (whole.mezzanine is None)


def test_what_is_flagged_as_fields_only_late_is_refused(at: House, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        options = {"x264-params": "keyint=6:min-keyint=6:tff=1:bframes=0"}
        stream = out.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, planes in enumerate(_yuv(40)):
            frame = av.VideoFrame.from_ndarray(
                np.concatenate([planes[0], np.concatenate([planes[1], planes[2]], 1)]), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(InputError) as caught:
        whole_life(at, item(tmp_path / "a.mkv"))
    assert caught.value.code == "INTERLACED"


@pytest.mark.parametrize("why", ["short", "span", "fields", "sequential codec", "shortfall"])
def test_other_films_are_decoded_at_once(at: House, tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more: dict[str, Any] = {"span": (2, 12)} if why == "span" else {}
    recipe = "[deinterlace]" if why == "fields" else "[]"
    if why == "short":
        monkeypatch.setattr(packet_scan, "LEAST_FRAMES", 21)
    path = film(tmp_path / "a.mkv", moving(20), "gray")
    if why == "sequential codec":
        path = film(tmp_path / "a.mpg", _yuv(20), "yuv420p", codec="mpeg2video", rate=Fraction(25))
    if why == "shortfall":
        path = film(tmp_path / "a.avi", _yuv(20), "yuvj420p", codec="mjpeg")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    item_ = item(path, recipe, **more, accept_damaged=why == "shortfall")
    facts = _packets_probed(at, item_).facts
    assert facts is not None
    assert facts.surveyed
