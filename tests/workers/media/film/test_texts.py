"""Texts of hostile films come into masters without paths, escapes and marks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.reels import House, film, house, item, moving, whole_life
from workers.media.film import texts

EVIL = "a\x1b[31m\u202eb\x07\nc"


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def hostile(path: Path, plain: Path) -> Path:
    with av.open(str(plain)) as source, av.open(str(path), "w", format="matroska") as out:
        out.metadata.update({"ARTIST": EVIL, "TIMECODE": f"01:00:00:00{EVIL}"})
        picture = out.add_stream_from_template(source.streams.video[0])
        track = out.add_stream_from_template(source.streams.audio[0])
        track.metadata.update({"title": EVIL, "language": "deu"})
        for name in ("../../../x\x1b[31m.txt", "C:\\windows\\y.txt", "..", "/etc/passwd"):
            out.add_attachment(name, "text/plain", b"hello")
        unit = Fraction(1, 1000)
        out.set_chapters([{"id": 1, "start": 0, "end": 200, "time_base": unit, "metadata": {"title": EVIL, EVIL: "x"}}])
        for packet in list(source.demux()):
            if packet.size:
                packet.stream = picture if packet.stream.type == "video" else track
                out.mux_one(packet)
    return path


def test_a_master_holds_only_what_can_be_shown(at: House, tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mkv", moving(4), "gray", sound="pcm_s16le")
    view, result = whole_life(at, item(hostile(tmp_path / "a.mkv", plain)))
    assert view.facts is not None
    assert view.facts.timecode == ""
    with av.open(str(at.path(result.outputs["master"]))) as master:
        names = [stream.name for stream in master.streams if stream.type == "attachment"]
        shown = [*master.metadata.values(), *(value for stream in master.streams for value in stream.metadata.values())]
        for chapter in master.chapters():
            shown += [*chapter["metadata"], *chapter["metadata"].values()]
        assert master.metadata["ARTIST"] == "a [31m b  c"
        assert master.streams.audio[0].metadata["title"] == "a [31m b  c"
    assert names[:2] == ["x [31m.txt", "y.txt"]
    assert names[2].startswith("attachment-")
    assert names[3] == "passwd"
    assert all(text.isprintable() for text in (*shown, *names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../..", ""),
        ("a/b\\c.ttf", "c.ttf"),
        (".bashrc", "bashrc"),
        ("x" * 999 + ".ttf", "x" * 196 + ".ttf"),
        ("\x00/\n", ""),
    ],
)
def test_a_file_name_is_no_path(text: str, expected: str) -> None:
    assert texts.file_name(text) == expected


@pytest.mark.parametrize("text", ["", "text", "text/plain\r\nX: y", "a/b/c", "/", "text/" + "x" * 200])
def test_what_is_no_type_is_bytes_of_any_kind(text: str) -> None:
    assert texts.mime_type(text) == "application/octet-stream"


@pytest.mark.parametrize("text", ["01:00:00:00\x1b[31m", "../../x", "99:00:00:00", "٠١:00:00:00"])
def test_only_a_timecode_is_one(text: str) -> None:
    assert texts.timecode(text) == ""
    assert texts.timecode("01:00:00;02") == "01:00:00;02"


def test_tags_without_end_are_cut() -> None:
    kept = texts.tags({str(number): "x" * 10_000 for number in range(1000)})
    assert (len(kept), {len(value) for value in kept.values()}) == (200, {4096})
