from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from db.errors import InputError
from tests.support.reels import House, film, house, item, moving, planes_of, probed, whole_life


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _rich(path: Path, plain: Path) -> Path:
    """A Matroska film with chapters, an attachment, two languages and tags, from a plain one."""
    with av.open(str(plain)) as source, av.open(str(path), "w", format="matroska") as out:
        out.metadata.update({"title": "Reel 7", "ARTIST": "Unknown", "creation_time": "1999-01-01T00:00:00Z"})
        picture = out.add_stream_from_template(source.streams.video[0])
        tracks = []
        for language in ("deu", "fra"):
            track = out.add_stream_from_template(source.streams.audio[0])
            track.metadata.update({"language": language, "title": f"sound {language}"})
            tracks.append(track)
        out.add_attachment("note.txt", "text/plain", b"splice at 12")
        second = {"time_base": Fraction(1, 1000), "metadata": {"title": "Zweiter"}}
        out.set_chapters(
            [
                {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "Erster"}},
                {"id": 2, "start": 500, "end": 1500, **second},
            ]
        )
        for packet in list(source.demux()):
            if not packet.size:
                continue
            if packet.stream.type == "video":
                packet.stream = picture
                out.mux_one(packet)
            else:
                for track in tracks:
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                    copy.duration, copy.stream = packet.duration, track
                    out.mux_one(copy)
    return path


def _payloads(path: Path, number: int) -> bytes:
    with av.open(str(path)) as opened:
        return b"".join(bytes(packet) for packet in opened.demux(opened.streams.audio[number]))


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    plain = film(tmp_path / "plain.mkv", moving(24), "gray", sound="pcm_s16le")
    return _rich(tmp_path / "rich.mkv", plain)


def test_chapters_attachments_languages_and_tags_are_carried(at: House, rich: Path) -> None:
    item_, result = whole_life(at, item(rich), 8)
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        assert [chapter["metadata"]["title"] for chapter in opened.chapters()] == ["Erster", "Zweiter"]
        assert [round(chapter["start"] * chapter["time_base"] * 1000) for chapter in opened.chapters()] == [0, 500]
        assert [(stream.name, stream.data) for stream in opened.streams.attachments] == [("note.txt", b"splice at 12")]
        assert [stream.language for stream in opened.streams.audio] == ["deu", "fra"]
        assert [stream.metadata.get("title") for stream in opened.streams.audio] == ["sound deu", "sound fra"]
        assert opened.metadata["title"] == "Reel 7"
        assert opened.metadata["ITEM"] == "rich"
        assert opened.metadata["ARTIST"] == "Unknown"
        assert "ENCODER" not in opened.metadata
    assert item_.facts is not None
    assert item_.facts.left_out == ()


def test_the_copied_sound_is_proven_by_its_digest(at: House, rich: Path) -> None:
    _, result = whole_life(at, item(rich), 8)
    told = result.facts["copied_sound"]
    assert [track["language"] for track in told] == ["deu", "fra"]
    for number, track in enumerate(told):
        assert track["md5"] == hashlib.md5(_payloads(rich, number)).hexdigest()
        assert _payloads(at.path(result.outputs["master"]), number) == _payloads(rich, number)


def test_sound_of_transport_streams_is_carried_without_its_headers(at: House, tmp_path: Path) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(50, 48, 64)]
    path = film(tmp_path / "a.ts", frames, "yuv420p", codec="mpeg2video", sound="aac", rate=Fraction(25))
    _, result = whole_life(at, item(path), 16)
    assert result.frames == 50
    assert [track["codec"] for track in result.facts["copied_sound"]] == ["aac"]
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        assert sum(frame.samples for frame in opened.decode(audio=0)) > 8000


def test_what_no_master_can_hold_is_named(at: House, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("ffv1", rate=16), out.add_stream("mpeg4", rate=16)]
        for stream, pixels in zip(streams, ("gray", "yuv420p"), strict=True):
            stream.width, stream.height, stream.pix_fmt = 32, 24, pixels
        for n, planes in enumerate(moving(8)):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(planes[0], format="gray").reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = n, Fraction(1, 16)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    item_, result = whole_life(at, item(path))
    assert item_.facts is not None
    assert item_.facts.left_out == ("track 2, a further picture track (mpeg4)",)
    assert "Not carried: track 2, a further picture track (mpeg4)." in result.notes


def _wave(path: Path, seconds: float, codec: str = "pcm_s24le") -> Path:
    with av.open(str(path), "w", format="wav") as out:
        track = out.add_stream(codec, rate=48_000, layout="mono")
        samples = (2**28 * np.sin(np.arange(round(48_000 * seconds)) / 9)).astype(np.int32)
        sound = av.AudioFrame.from_ndarray(samples[None], format="s32", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(track.encode(sound))
        out.mux(track.encode(None))
    return path


def test_a_sound_file_beside_a_reel_joins_it(at: House, tmp_path: Path) -> None:
    path, beside = film(tmp_path / "a.mkv", moving(25), "gray", rate=Fraction(50, 3)), _wave(tmp_path / "a.wav", 1.5)
    item_, result = whole_life(at, item(path, sound=str(beside)), 8)
    facts = item_.facts
    assert facts is not None
    assert facts.sound is not None
    assert facts.sound.sha256 == hashlib.sha256(beside.read_bytes()).hexdigest()
    assert [(track.codec, track.sample_rate_hz) for track in facts.audio] == [("pcm_s24le", 48_000)]
    assert facts.disagreements == ()
    assert _payloads(at.path(result.outputs["master"]), 0) == _payloads(beside, 0)
    with av.open(str(at.path(result.outputs["access"]))) as opened:
        assert [stream.codec_context.name for stream in opened.streams.audio] == ["aac"]


def test_a_sound_of_another_length_is_told(at: House, tmp_path: Path) -> None:
    path, beside = film(tmp_path / "a.mkv", moving(16), "gray"), _wave(tmp_path / "a.wav", 1.5)
    _, result = whole_life(at, item(path, sound=str(beside)), 8)
    assert any("The sound lasts 1.50 s, the picture 1.00 s at 16 frames per second" in note for note in result.notes)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVEjunk", b"no sound at all" * 40])
def test_a_sound_file_that_is_none_ends_in_a_code(at: House, tmp_path: Path, content: bytes) -> None:
    path, beside = film(tmp_path / "a.mkv", moving(4), "gray"), tmp_path / "a.wav"
    beside.write_bytes(content)
    with pytest.raises(InputError) as refused:
        probed(at, item(path, sound=str(beside)))
    assert refused.value.code in {"ZERO_BYTE", "UNKNOWN_FORMAT", "TRUNCATED", "CORRUPT"}
    with pytest.raises(InputError) as refused:
        probed(at, item(path, sound=str(tmp_path / "none.wav")))
    assert refused.value.code == "FILE_MISSING"


def test_a_span_of_a_film_is_a_reel_of_its_own(at: House, rich: Path) -> None:
    item_, result = whole_life(at, item(rich, span=(8, 20)), 8)
    assert item_.facts is not None
    assert item_.facts.frame_count == result.frames == 12
    master = at.path(result.outputs["master"])
    ours, theirs = planes_of(master), planes_of(rich)[8:20]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(ours, theirs, strict=True))
    with av.open(str(master)) as opened:
        # 16 frames a second: the second chapter begins half a second into the film, where the span does.
        assert [chapter["metadata"]["title"] for chapter in opened.chapters()] == ["Zweiter"]
        heard = sum(frame.samples for frame in opened.decode(audio=0)) / 8000
    assert heard == pytest.approx(0.75, abs=0.2)


@pytest.mark.parametrize("recipe", ["[]", "[{denoise: {method: temporal}}]"])
def test_a_span_does_not_depend_on_cuts(at: House, rich: Path, recipe: str) -> None:
    made = {
        at.path(whole_life(at, item(rich, recipe, span=(3, 20)), cut)[1].outputs["master"]).read_bytes()
        for cut in (8, 24)
    }
    assert len(made) == 1


def test_a_span_beyond_the_end_is_refused(at: House, rich: Path) -> None:
    with pytest.raises(InputError, match="which has 24 frames"):
        probed(at, item(rich, span=(20, 30)))


def test_a_rate_that_contradicts_the_header_is_told(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(8), "gray", rate=Fraction(24), tags={"timecode": "01:00:00:00"})
    _, result = whole_life(at, item(path, fps=Fraction(50, 3), timecode="10:00:00:00"))
    assert any(note.startswith("FPS_CONFLICT: the header says 24 frames per second") for note in result.notes)
    assert any("timecode is 01:00:00:00" in note for note in result.notes)
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        assert opened.metadata["TIMECODE"] == "10:00:00:00"
        assert opened.streams.video[0].average_rate == Fraction(50, 3)


def _cover(path: Path) -> Path:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(8, 48, 64)]
    plain = film(path.with_name("plain.mp4"), frames, "yuv420p", codec="libx264")
    with av.open(str(plain)) as source, av.open(str(path), "w", format="mp4") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = picture
                out.mux_one(packet)
        frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        out.mux(cover.encode(frame))
        out.mux(cover.encode(None))
    return path


def test_a_cover_picture_becomes_an_attachment(at: House, tmp_path: Path) -> None:
    _, result = whole_life(at, item(_cover(tmp_path / "a.mp4")))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        attached: list[Any] = [
            stream for stream in opened.streams if stream.metadata.get("filename", "") == "cover.png"
        ]
        assert len(attached) == 1


def test_the_timecode_of_a_span_is_that_of_its_first_frame(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(40), "gray", rate=Fraction(24), tags={"timecode": "01:00:00:20"})
    facts = probed(at, item(path, span=(10, 30))).facts
    assert facts is not None
    assert facts.timecode == "01:00:01:06"
    facts = probed(at, item(path, span=(10, 30), timecode="05:00:00:00")).facts
    assert facts is not None
    assert facts.timecode == "05:00:00:00"


@pytest.mark.parametrize(
    ("name", "codec", "sound", "beside"),
    [("a.wmv", "wmv2", "wmav2", "audio.asf"), ("a.avi", "mpeg4", "adpcm_ms", "audio.asf"),
     ("a.mov", "mpeg4", "pcm_alaw", "audio.mov"), ("a.nut", "mpeg4", "pcm_s16le_planar", "audio.nut")],
)  # fmt: skip
def test_sound_that_matroska_refuses_lies_beside_the_master(
    at: House, tmp_path: Path, name: str, codec: str, sound: str, beside: str
) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(12, 48, 64)]
    path = film(tmp_path / name, frames, "yuv420p", codec=codec, sound=sound)
    item_, result = whole_life(at, item(path))
    assert item_.facts is not None
    assert item_.facts.damaged == ""
    assert result.outputs["audio"].key.endswith(beside)
    assert _payloads(at.path(result.outputs["audio"]), 0) == _payloads(path, 0) != b""
    assert any(note.startswith(f"Matroska does not take the sound ({sound})") for note in result.notes)
