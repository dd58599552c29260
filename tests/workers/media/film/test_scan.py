"""Damage inside of frames, which most decoders patch up without a word."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from db.errors import InputError
from tests.support.reels import House, film, house, item, moving, probed, whole_life
from workers.media.reel import open_reel, read_samples
from workers.tasks import probe

SPOILT = (2, 5)


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _yuv(count: int, height: int = 96, width: int = 128) -> list[Any]:
    return [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(count, height, width)]


def _spoil(path: Path, plain: Path, frames: tuple[int, ...] = SPOILT) -> Path:
    """The same film with the last third of some packets overwritten."""

    def spoil(number: int, body: bytearray) -> None:
        if number in frames:
            at = len(body) * 2 // 3
            body[at:] = np.random.default_rng(1).integers(0, 256, len(body) - at, dtype=np.uint8).tobytes()

    return _with_packets(path, plain, spoil)


def _with_packets(path: Path, plain: Path, change: Callable[[int, bytearray], None]) -> Path:
    """The same film with its packets changed."""
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            body = bytearray(bytes(packet))
            change(number, body)
            copy = av.Packet(bytes(body))
            copy.pts, copy.dts, copy.time_base, copy.duration = (
                packet.pts,
                packet.dts,
                packet.time_base,
                packet.duration,
            )
            copy.is_keyframe, copy.stream = packet.is_keyframe, picture
            out.mux_one(copy)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.avi", "mjpeg", "yuvj420p"), ("a.mkv", "libx264", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"),
     ("a.mkv", "mpeg2video", "yuv420p")],
)  # fmt: skip
def test_damage_inside_of_frames_is_heard_and_told(
    at: House, tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    options = {"g": "1", "bf": "0"} if codec != "mjpeg" else {}
    plain = film(tmp_path / f"plain-{name}", _yuv(8), pixels, codec=codec, options=options)
    probed(at, item(plain))
    path = _spoil(tmp_path / name, plain)
    with pytest.raises(InputError) as caught:
        probed(at, item(path))
    assert caught.value.code == "CORRUPT"
    assert "the decoder conceals damage" in caught.value.message
    _, result = whole_life(at, item(path, accept_damaged=True))
    assert result.frames == 8
    assert any(note.startswith("The source is damaged: after frame") for note in result.notes)


def test_every_frame_that_is_damaged_is_named(at: House, tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.avi", _yuv(8), "yuvj420p", codec="mjpeg")
    with pytest.raises(InputError, match="after frames 2, 5: the decoder conceals damage"):
        probed(at, item(_spoil(tmp_path / "a.avi", plain)))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.97])
def test_raw_jpeg_that_ends_inside_a_frame_is_no_whole_film(at: House, tmp_path: Path, share: float) -> None:
    path = film(tmp_path / "a.mjpeg", _yuv(4), "yuvj420p", codec="mjpeg")
    assert probed(at, item(path)).facts is not None
    body = path.read_bytes()
    last = body.rindex(b"\xff\xd8\xff")
    (tmp_path / "b.mjpeg").write_bytes(body[: last + int(share * (len(body) - last))])
    with pytest.raises(InputError) as caught:
        probed(at, item(tmp_path / "b.mjpeg"))
    assert caught.value.code in {"CORRUPT", "TRUNCATED"}


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_raw_dv_that_ends_inside_a_frame_is_no_whole_film(at: House, tmp_path: Path, share: float) -> None:
    frames = _yuv(2, 576, 720)
    path = film(tmp_path / "a.dv", frames, "yuv420p", codec="dvvideo", rate=Fraction(25))
    assert probed(at, item(path, accept_interlaced=True)).facts is not None
    body = path.read_bytes()
    path.write_bytes(body + body[: round(share * len(body) / 2)])
    with pytest.raises(InputError) as caught:
        probed(at, item(path, accept_interlaced=True))
    assert (caught.value.code, "the last frame is incomplete" in caught.value.message) == ("TRUNCATED", True)


@pytest.mark.parametrize(
    ("rate", "fps", "taken"),
    [
        (" F99999:1", None, 24), (" F99999:1", 18, 0), (" F18:1", None, 0), (" F24000:1001", None, 0),
        (" F1:100000", None, 24), (" F1:100000", 18, 0),
        (" F0:0", None, 25), ("", None, 25), (" F-5:1", None, 25), (" F24:0", None, 25), (" F0:0", 18, 0), ("", 18, 0),
    ],
)  # fmt: skip
def test_a_rate_that_cannot_be_is_told(at: House, tmp_path: Path, rate: str, fps: int | None, taken: int) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(f"YUV4MPEG2 W32 H24{rate} C420jpeg\n".encode() + (b"FRAME\n" + bytes(32 * 24 * 3 // 2)) * 6)
    told = [f"The header gives no frame rate that can be: {taken} frames per second were taken. The field fps decides."]
    it = item(path, fps=fps and Fraction(fps))
    facts = probed(at, it).facts
    assert facts is not None
    assert list(facts.notes) == (told if taken else [])
    assert facts.rate == (fps or taken or Fraction(rate[2:].replace(":", "/")))
    assert facts.disagreements == ()
    described = probe.describe(it.source, at.settings, tmp_path)
    assert (described["rate"], described["notes"]) == (str(facts.rate), list(facts.notes))
    assert described["frame_count"] == 6


@pytest.mark.parametrize(("rate", "scale"), [(100_000, 1), (1, 100_000)])
def test_a_rate_that_cannot_be_is_told_of_avi(at: House, tmp_path: Path, rate: int, scale: int) -> None:
    path = film(tmp_path / "a.avi", _yuv(6, 24, 32), "yuv420p", codec="ffv1", rate=Fraction(25))
    body = path.read_bytes()
    place = body.index(b"strh") + 28
    assert struct.unpack_from("<II", body, place) == (1, 25)
    path.write_bytes(body[:place] + struct.pack("<II", scale, rate) + body[place + 8 :])
    facts = probed(at, item(path)).facts
    assert facts is not None
    assert (facts.rate, facts.frame_count) == (24, 6)
    assert facts.notes[0].startswith("The header gives no frame rate that can be: 24 frames per second were taken.")


def test_a_stream_without_a_container_that_says_no_rate_is_told(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mjpeg", _yuv(4, 24, 32), "yuvj420p", codec="mjpeg", rate=Fraction(18))
    facts = probed(at, item(path)).facts
    assert facts is not None
    assert facts.rate == 25
    assert "no frame rate that can be: 25 frames" in facts.notes[0]
    path = film(tmp_path / "a.h264", _yuv(4, 24, 32), "yuv420p", codec="libx264", rate=Fraction(18))
    facts = probed(at, item(path)).facts
    assert facts is not None
    assert (facts.rate, facts.notes) == (18, ())


@pytest.mark.parametrize(
    ("at_byte", "value", "says"),
    [
        (1, 0xC9, "unsupported coding type"),  # arithmetic coding
        (14, 0x31, "Not yet implemented"),  # three samples of one colour, and one of the other
    ],
)
def test_a_way_of_coding_that_no_decoder_knows_is_no_damage(
    at: House, tmp_path: Path, at_byte: int, value: int, says: str
) -> None:
    def change(_: int, body: bytearray) -> None:
        body[body.index(b"\xff\xc0") + at_byte] = value

    plain = film(tmp_path / "plain.avi", _yuv(3), "yuvj420p", codec="mjpeg")
    with pytest.raises(InputError, match=says) as caught:
        probed(at, item(_with_packets(tmp_path / "a.mkv", plain, change)))
    assert (caught.value.code, "another codec" in caught.value.remedy) == ("UNSUPPORTED_PIXELS", True)


def test_blocks_of_a_jpeg_film_that_do_not_fit_are_heard(at: House, tmp_path: Path) -> None:
    """Other samples than were coded: the decoder counts its errors, and gives frames."""

    def change(_: int, body: bytearray) -> None:
        body[body.index(b"\xff\xc0") + 11] = 0x11

    plain = film(tmp_path / "plain.avi", _yuv(3), "yuvj420p", codec="mjpeg")
    with pytest.raises(InputError, match="conceals damage"):
        probed(at, item(_with_packets(tmp_path / "a.mkv", plain, change)))


@pytest.mark.parametrize("pixel_format", ["gbrpf32le", "gbrapf32le", "grayf32le"])
def test_a_film_of_floating_point_is_named_by_what_it_is(at: House, tmp_path: Path, pixel_format: str) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        stream = out.add_stream("exr", rate=24)
        stream.width, stream.height, stream.pix_fmt = 16, 12, pixel_format
        out.mux(stream.encode(av.VideoFrame(16, 12, pixel_format)))
        out.mux(stream.encode(None))
    with pytest.raises(InputError, match="floating point") as caught:
        probed(at, item(tmp_path / "a.mov"))
    assert caught.value.code == "UNSUPPORTED_PIXELS"
    assert "EXR files, one a frame" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "codec", "what"), [("a.wmv", "wmv2", "declared packets"), ("a.mxf", "mpeg2video", "declared seconds")]
)
@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
def test_a_film_that_is_shorter_than_its_header_says_is_told(
    at: House, tmp_path: Path, name: str, codec: str, what: str, share: float
) -> None:
    path = film(tmp_path / name, _yuv(40), "yuv420p", codec=codec, rate=Fraction(25))
    if share == 1:
        assert probed(at, item(path)).facts is not None
        return
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=f"{what}.* are there") as caught:
        probed(at, item(path))
    assert caught.value.code == "TRUNCATED"


@pytest.mark.parametrize("rest", [5, 8, 40])
def test_raw_h264_that_ends_inside_a_frame_is_no_whole_film(at: House, tmp_path: Path, rest: int) -> None:
    path = film(tmp_path / "a.h264", _yuv(20), "yuv420p", codec="libx264", rate=Fraction(25))
    assert probed(at, item(path)).facts is not None
    body = path.read_bytes()
    path.write_bytes(body[: body.rindex(b"\0\0\1") + rest])
    with pytest.raises(InputError) as caught:
        probed(at, item(path))
    assert caught.value.code in {"CORRUPT", "TRUNCATED"}


def test_a_flash_film_that_ends_before_its_header_says_is_told(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.flv", _yuv(24), "yuv420p", codec="flv", rate=Fraction(12))
    probed(at, item(path))
    data, end, count = path.read_bytes(), 13, 0
    while count < 14:  # tags: a kind, three bytes of size, seven more, the body, four of the whole size
        count, end = count + 1, end + 15 + int.from_bytes(data[end + 1 : end + 4], "big")
    path.write_bytes(data[:end])
    with pytest.raises(InputError, match="declared seconds of video") as caught:
        probed(at, item(path))
    assert caught.value.code == "TRUNCATED"


def _amv(path: Path, count: int) -> list[Any]:
    """Write a film as small players have it, whose frames FFmpeg gives from the bottom up; returns its luma."""
    lumas = []
    with av.open(str(path), "w", format="amv") as out:
        picture = out.add_stream("amv", rate=15)
        picture.height, picture.width, picture.pix_fmt = 96, 128, "yuvj420p"
        sound = out.add_stream("adpcm_ima_amv", rate=22050, layout="mono", options={"block_size": "1470"})
        for number, planes in enumerate(_yuv(count)):
            body = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(144, 128)
            frame = av.VideoFrame.from_ndarray(body, format="yuvj420p")
            frame.pts = number
            out.mux(picture.encode(frame))
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1470), np.int16), format="s16", layout="mono")
            quiet.sample_rate, quiet.pts = 22050, 1470 * number
            out.mux(sound.encode(quiet))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))
    with av.open(str(path)) as film:
        lumas.extend(frame.reformat(format="gray").to_ndarray() for frame in film.decode(video=0))
    return lumas


def test_frames_from_the_bottom_up_are_restored(at: House, tmp_path: Path) -> None:
    lumas = _amv(tmp_path / "a.amv", 6)
    it = probed(at, item(tmp_path / "a.amv"))
    found = [samples[0] for samples in read_samples(open_reel(it, at.bench()))]
    assert np.array_equal(found, lumas)
    assert it.facts is not None
    assert it.facts.frame_count == 6


@pytest.mark.parametrize("lost", [1, 8, 900])
def test_amv_that_lost_its_end_is_told(at: House, tmp_path: Path, lost: int) -> None:
    _amv(tmp_path / "a.amv", 6)
    (tmp_path / "a.amv").write_bytes((tmp_path / "a.amv").read_bytes()[:-lost])
    with pytest.raises(InputError, match="end mark is missing") as caught:
        probed(at, item(tmp_path / "a.amv"))
    assert caught.value.code == "TRUNCATED"
