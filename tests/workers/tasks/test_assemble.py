from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from db.errors import WorkError
from db.records import Substitute
from db.states import TaskKind
from tests.support.reels import House, film, house, item, moving, order, planes_of, probed, restored, whole_life
from workers.tasks import assemble


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _yuv(count: int, height: int = 24, width: int = 32) -> list[list[np.ndarray]]:
    return [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(count, height, width)]


def _packets(path: Path, kind: str, number: int = 0) -> list[bytes]:
    with av.open(str(path)) as opened:
        stream = getattr(opened.streams, kind)[number]
        return [bytes(packet) for packet in opened.demux(stream) if packet.size]


def _times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as opened:
        return [frame.pts * frame.time_base for frame in opened.decode(video=0)]


def test_the_master_holds_every_frame_in_order_at_the_native_rate(at: House, tmp_path: Path) -> None:
    frames = moving(21, bits=10)
    path = film(tmp_path / "a.mkv", frames, "gray10le", rate=Fraction(50, 3), tags={"timecode": "10:00:00:00"})
    _, result = whole_life(at, item(path), 8)
    master = at.path(result.outputs["master"])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(planes_of(master), frames, strict=True))
    with av.open(str(master)) as opened:
        assert opened.streams.video[0].average_rate == Fraction(50, 3)
        assert opened.metadata["title"] == "a"
        assert opened.metadata["TIMECODE"] == "10:00:00:00"
    assert [round(time * 1000) for time in _times(master)] == [round(n * 60) for n in range(21)]
    assert result.frames == 21


def test_a_master_of_one_chunk_equals_a_master_of_many(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(20), "gray", sound="pcm_s16le")
    made = {at.path(whole_life(at, item(path), cut)[1].outputs["master"]).read_bytes() for cut in (8, 16, 24)}
    assert len(made) == 1


@pytest.mark.parametrize("aspect", ["16/15", "4/3", "190/189", "8/9"])
def test_the_shape_of_pixels_is_kept(at: House, tmp_path: Path, aspect: str) -> None:
    path = film(tmp_path / "a.mov", _yuv(3, 48, 64), "yuv420p", codec="libx264", aspect=Fraction(aspect))
    _, result = whole_life(at, item(path))
    for name in ("master", "access"):
        with av.open(str(at.path(result.outputs[name]))) as opened:
            assert opened.streams.video[0].sample_aspect_ratio == Fraction(aspect)
    assert len(planes_of(at.path(result.outputs["master"]))) == 3


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac", "flac", "libmp3lame"])
def test_sound_is_copied_packet_by_packet(at: House, tmp_path: Path, codec: str) -> None:
    path = film(tmp_path / "a.mkv", moving(24), "gray", sound=codec)
    _, result = whole_life(at, item(path))
    assert _packets(at.path(result.outputs["master"]), "audio") == _packets(path, "audio")
    with av.open(str(at.path(result.outputs["access"]))) as opened:
        assert opened.streams.audio[0].codec_context.name in {"aac", "mp3float"}
        heard = sum(frame.samples for frame in opened.decode(audio=0))
    assert heard / 8000 == pytest.approx(1.5, abs=0.4)
    assert any("AAC" in note for note in result.notes) == (codec != "aac")


def test_sound_keeps_its_place_when_the_picture_starts_late(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(16), "gray", sound="pcm_s16le", lead_seconds=Fraction(1, 4))
    _, result = whole_life(at, item(path))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        first = {stream.type: None for stream in opened.streams}
        for packet in opened.demux():
            if packet.pts is not None and first[packet.stream.type] is None:
                first[packet.stream.type] = float(packet.pts * packet.time_base)
    assert first["video"] - first["audio"] == pytest.approx(0.25, abs=0.002)  # type: ignore[operator]


def test_sound_that_matroska_refuses_lies_beside_the_master(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mov", _yuv(8, 48, 64), "yuv420p", codec="libx264", sound="adpcm_ima_qt")
    _, result = whole_life(at, item(path))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        kept_inside = len(opened.streams.audio) == 1
    if not kept_inside:
        assert _packets(at.path(result.outputs["audio"]), "audio") == _packets(path, "audio")
        assert any("beside" in note for note in result.notes)


def test_uneven_times_stay_uneven(at: House, tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 240, 280, 500, 540]
    path = film(tmp_path / "a.mkv", moving(8), "gray", rate=Fraction(25), pts=pts)
    _, result = whole_life(at, item(path), 4)
    assert [round(time * 1000) for time in _times(at.path(result.outputs["master"]))] == pts
    assert [round(time * 1000) for time in _times(at.path(result.outputs["access"]))] == pts


def test_range_and_matrix_tags_are_kept(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", _yuv(2), "yuv420p", full_range=True)
    _, result = whole_life(at, item(path))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        frame = next(opened.decode(video=0))
        assert (frame.format.name, frame.color_range, frame.colorspace) == ("yuv420p", 2, 6)
    with av.open(str(at.path(result.outputs["access"]))) as opened:
        assert next(opened.decode(video=0)).color_range == 1


@pytest.mark.parametrize("size", [(24, 32), (23, 31)])
@pytest.mark.parametrize("pixel_format", ["gray", "gbrp10le", "yuv444p"])
def test_the_access_copy_shows_the_same_picture(
    at: House, tmp_path: Path, size: tuple[int, int], pixel_format: str
) -> None:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    ramp = np.uint8(60 + 2 * rows + 2 * columns)
    planes = {"gray": [ramp], "yuv444p": [ramp, np.full_like(ramp, 110), np.full_like(ramp, 150)]}
    deep = [ramp.astype(np.uint16) * 4, ramp.astype(np.uint16) * 3, ramp.astype(np.uint16) * 2]
    path = film(tmp_path / "a.mkv", [planes.get(pixel_format, deep)] * 3, pixel_format)
    _, result = whole_life(at, item(path))

    def colours(name: str) -> Any:
        with av.open(str(at.path(result.outputs[name]))) as opened:
            frame = next(opened.decode(video=0))
            return frame.reformat(format="rgb24", width=32, height=24).to_ndarray().astype(float)

    assert np.abs(colours("master") - colours("access")).mean() < 3
    with av.open(str(at.path(result.outputs["access"]))) as opened:
        assert opened.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert sum(1 for _ in opened.decode(video=0)) == 3


def test_no_access_copy_unless_it_is_wanted(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(3), "gray")
    _, result = whole_life(at, item(path, "{recipe: [], outputs: [master, scores]}"))
    assert set(result.outputs) == {"master", "scores", "framemd5", "timeline"}


@pytest.mark.parametrize("pixel_format", ["gray", "gray12le", "gbrp10le", "yuv444p"])
def test_frame_sums_are_those_of_ffmpegs_own_muxer(at: House, tmp_path: Path, pixel_format: str) -> None:
    channels, bits = (1 if "gray" in pixel_format else 3), int("".join(filter(str.isdigit, pixel_format)) or 8)
    frames = moving(5, channels=channels, bits=8 if bits == 444 else bits)
    path = film(tmp_path / "a.mkv", frames, pixel_format, rate=Fraction(50, 3))
    _, result = whole_life(at, item(path), 4)
    with (
        av.open(str(at.path(result.outputs["master"]))) as opened,
        av.open(str(tmp_path / "theirs"), "w", format="framemd5") as out,
    ):
        stream = out.add_stream("rawvideo", rate=Fraction(50, 3))
        stream.width, stream.height, stream.pix_fmt = 32, 24, pixel_format
        for n, frame in enumerate(opened.decode(video=0)):
            frame.pts, frame.time_base = n, Fraction(3, 50)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

    def sums(text: str) -> list[list[str]]:
        return [[part.strip() for part in line.split(",")] for line in text.splitlines() if not line.startswith("#")]

    ours = at.path(result.outputs["framemd5"]).read_text()
    assert [row[4:] for row in sums(ours)] == [row[4:] for row in sums((tmp_path / "theirs").read_text())]
    assert "#tb 0: 3/50" in ours
    assert sums(ours)[1][5] == hashlib.md5(b"".join(plane.tobytes() for plane in frames[1])).hexdigest()


def test_scores_have_a_row_a_frame_with_exact_times(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(11), "gray", rate=Fraction(24000, 1001))
    _, result = whole_life(at, item(path), 8)
    table = pq.read_table(at.path(result.outputs["scores"])).to_pydict()
    assert table["frame"] == list(range(11))
    assert table["pts"][3] == str(Fraction(3 * 1001, 24000))
    assert table["seconds"][3] == pytest.approx(3 * 1001 / 24000)
    assert len(table["luma_psnr"]) == 11
    assert result.scores["luma_psnr"] == 100


def test_substitutes_are_told_in_notes_and_in_the_master(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(8), "gray")
    swap = (Substitute(frame=5, use=4, reason="decoder died"), Substitute(frame=6, use=None, reason="again"))
    _, result = whole_life(at, item(path, substitutes=swap))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        told = opened.metadata["SUBSTITUTED_FRAMES"]
    assert told == "frame 5 shows frame 4 (decoder died); frame 6 shows black (again)"
    assert sum("could not be restored" in note for note in result.notes) == 2


def test_a_missing_segment_is_noticed(at: House, tmp_path: Path) -> None:
    item_ = probed(at, item(film(tmp_path / "a.mkv", moving(20), "gray")))
    parts = restored(at, item_, 8)
    for wrong in (parts[1:], parts[:-1], (parts[0], parts[2])):
        with pytest.raises(WorkError, match="do not add up"):
            assemble.assemble(order(item_, TaskKind.ASSEMBLE, parts=wrong), at.bench())


def test_assembling_leaves_the_segments_and_the_source_alone(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(20), "gray", sound="aac")
    before = path.read_bytes()
    item_ = probed(at, item(path))
    parts = restored(at, item_, 8)
    first = assemble.assemble(order(item_, TaskKind.ASSEMBLE, parts=parts), at.bench())
    again = assemble.assemble(order(item_, TaskKind.ASSEMBLE, parts=parts), at.bench())
    assert first.outputs["master"].sha256 == again.outputs["master"].sha256
    assert path.read_bytes() == before
