"""OpenTimelineIO: clips as reels. The library runs in a process of its own, which takes half a second each time."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio
import pytest

from orchestrator.manifest import Line, otio
from tests.orchestrator.manifest.reading import codes, read, refused, written

schema = opentimelineio.schema


def _range(start: float, count: float, rate: float = 16) -> Any:
    time = opentimelineio.opentime.RationalTime
    return opentimelineio.opentime.TimeRange(time(start, rate), time(count, rate))


def _frames(**changes: Any) -> Any:
    given = {
        "target_url_base": "reel/", "name_prefix": "f_", "name_suffix": ".dpx", "start_frame": 86400,
        "rate": 16, "frame_zero_padding": 7, "available_range": _range(86400, 100),
    }  # fmt: skip
    return schema.ImageSequenceReference(**{**given, **changes})


def _film(url: str, available: Any = None) -> Any:
    return schema.ExternalReference(url, available)


def _timeline(folder: Path, *inside: Any) -> Path:
    track = schema.Track("V1", list(inside))
    sound = schema.Track("A1", [schema.Clip("sound", _film("a.wav"))], kind="Audio")
    timeline = schema.Timeline("t", tracks=[track, sound])
    path = folder / "cut.otio"
    opentimelineio.adapters.write_to_file(timeline, str(path), adapter_name="otio_json")
    return path


def _said(line: Line) -> tuple[Any, ...]:
    source = line.source
    assert source is not None
    part = source.sequence and (source.sequence.start, source.sequence.end, source.sequence.step)
    return line.external_id, Path(source.uri).name, part, source.span, source.fps


def test_clips_are_reels_with_their_ranges(tmp_path: Path) -> None:
    clips = [
        schema.Clip("one", _frames(), _range(86410, 20)),
        schema.Gap(),
        schema.Clip("two", _frames()),
        schema.Transition(in_offset=_range(0, 1).duration, out_offset=_range(0, 1).duration),
        schema.Clip("three", _frames(frame_step=2, available_range=_range(86400, 9)), _range(86402, 5)),
        schema.Clip("", _film("a%20film.mkv", _range(0, 50, 23.976)), _range(10, 10, 24000 / 1001)),
        schema.Clip("whole", _film("b.mkv")),
        schema.Clip("lost", schema.MissingReference()),
        schema.Clip("bars", schema.GeneratorReference(generator_kind="bars")),
        schema.Stack("nested", [schema.Clip("one", _frames(), _range(86411, 20)), schema.Clip("again", _frames())]),
    ]
    clips[6].effects.append(schema.LinearTimeWarp(time_scalar=2))
    found, notes = read(_timeline(tmp_path, *clips))
    assert codes(found) == []
    assert [_said(line) for line in found] == [
        ("one", "reel", (86410, 86429, 1), None, 16),
        ("two", "reel", (86400, 86499, 1), None, 16),
        ("three", "reel", (86402, 86406, 2), None, 8),
        ("a film.mkv", "a film.mkv", None, (10, 20), Fraction(24000, 1001)),
        ("whole", "b.mkv", None, None, None),
        ("one#2", "reel", (86411, 86430, 1), None, 16),
    ]
    assert {note.removeprefix("Passed over in the timeline: ") for note in notes} == {
        "gaps (1)", "transitions (1)", "sound tracks (1)", "clips with MissingReference (1)",
        "clips with GeneratorReference (1)", "clips that repeat another's media and range (1)",
        "Clips with effects, of which the plain media is restored: 1",
    }  # fmt: skip
    assert found[0].extra["otio.track"] == "V1"


def test_rates_that_contradict_one_another_are_named(tmp_path: Path) -> None:
    clips = [
        schema.Clip("a", _frames(rate=18), _range(86410, 20)),
        schema.Clip("b", _film("b.mkv", _range(0, 50, 24)), _range(0, 25, 25)),
        schema.Clip("c", _film("c.mkv", _range(0, 50, 23.98)), _range(0, 24, 23.976)),
    ]
    found, _ = read(_timeline(tmp_path, *clips))
    assert [(line.external_id, [each.code for each in line.problems]) for line in found] == [
        ("a", ["FPS_CONFLICT"]), ("b", ["FPS_CONFLICT"]), ("c", []),
    ]  # fmt: skip
    assert "18 and 16" in found[0].problems[0].message


def test_media_are_found_by_path_and_by_url(tmp_path: Path) -> None:
    for name in ("a%20b.mkv", "c d.mkv", "e.mkv", "reel/f_0000001.dpx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path, name, "x")
    for number in range(2, 7):
        written(tmp_path / "reel", f"f_{number:07d}.dpx", "x")
    clips = [
        schema.Clip("a", _film("a%20b.mkv")),
        schema.Clip("c", _film("c%20d.mkv")),
        schema.Clip("e", _film((tmp_path / "e.mkv").as_uri())),
        schema.Clip("r", _frames(target_url_base=(tmp_path / "reel").as_uri(), available_range=None, start_frame=2)),
        schema.Clip("h", _film("http://host/x.mkv")),
        schema.Clip("u", _film("../x.mkv")),
        schema.Clip("f", _film("file://other/x.mkv")),
        schema.Clip("p", _film("/etc/passwd")),
        schema.Clip("n", _film("x%00.mkv")),
        schema.Clip("s", _film("s3://bucket/x.mkv")),
        schema.Clip("g", _frames(target_url_base="nowhere", available_range=None)),
        schema.Clip("m", _film("gone.mkv")),
    ]
    found, _ = read(_timeline(tmp_path, *clips), check_files=True)
    said = {line.external_id: [each.code for each in line.problems] for line in found}
    assert said == {
        "a": [], "c": [], "e": [], "r": [], "h": ["BAD_VALUE"], "u": ["PATH_UNSAFE"], "f": ["BAD_VALUE"],
        "p": ["PATH_UNSAFE"], "n": ["PATH_UNSAFE"], "s": [], "line-11": ["FILE_MISSING"], "m": ["FILE_MISSING"],
    }  # fmt: skip
    assert _said(found[3])[2] == (2, 6, 1)


def test_values_that_cannot_be_are_named_clip_by_clip(tmp_path: Path) -> None:
    clips = [
        schema.Clip("early", _frames(), _range(86399, 5)),
        schema.Clip("late", _frames(), _range(86490, 20)),
        schema.Clip("none", _frames(), _range(86400, 0)),
        schema.Clip("slow", _frames(rate=0)),
        schema.Clip("fast", _film("a.mkv", _range(0, 10, 1e9))),
        schema.Clip("long", _frames(), _range(86400, 1e300)),
        schema.Clip("step", _frames(frame_step=-1)),
        schema.Clip("minus", _frames(start_frame=-5)),
        schema.Clip("slash", _frames(name_prefix="../f_")),
        schema.Clip("good", _frames()),
    ]
    found, _ = read(_timeline(tmp_path, *clips))
    assert [{each.code for each in line.problems} for line in found[:8]] == [{"BAD_VALUE"}] * 8
    assert "PATH_UNSAFE" in [each.code for each in found[8].problems]
    assert (found[-1].external_id, found[-1].problems) == ("good", ())


@pytest.mark.parametrize("text", ["", "{", '{"OTIO_SCHEMA": 7}', "[" * 100_000])
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(written(tmp_path, "cut.otio", text)) == "MANIFEST_UNREADABLE"


def test_what_the_library_does_not_know_is_counted(tmp_path: Path) -> None:
    found, notes = read(written(tmp_path, "cut.otio", '{"OTIO_SCHEMA": "Nothing.1"}'))
    assert (found, notes) == ([], ["Passed over in the timeline: objects of other kinds (1)"])


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otio, "find_spec", lambda name: None)
    assert refused(written(tmp_path, "cut.otio", "{}")) == "OTIO_EXTRA_MISSING"


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otio, "MAX_SECONDS", 0.01)
    assert refused(_timeline(tmp_path, schema.Clip("a", _frames()))) == "MANIFEST_UNREADABLE"


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otio, "MAX_BYTES", 10)
    assert refused(_timeline(tmp_path, schema.Clip("a", _frames()))) == "MANIFEST_UNREADABLE"


def test_json_that_begins_like_a_timeline_is_one(tmp_path: Path) -> None:
    path = _timeline(tmp_path, schema.Clip("a", _film("a.mkv")))
    document = json.loads(path.read_text())
    assert len(read(written(tmp_path, "cut.json", json.dumps(document)))[0]) == 1


def test_a_bundle_is_a_timeline_with_its_media(tmp_path: Path) -> None:
    bundle = tmp_path / "cut.otiod"
    (bundle / "media").mkdir(parents=True)
    written(bundle / "media", "a.mkv", "x")
    _timeline(bundle, schema.Clip("a", _film("media/a.mkv"))).rename(bundle / "content.otio")
    ((line,), _) = read(bundle, check_files=True)
    assert line.problems == ()
    assert line.source is not None
    assert line.source.uri == str(bundle / "media" / "a.mkv")


def test_no_folder_outside_is_looked_into(tmp_path: Path) -> None:
    """What is said does not depend on what lies there."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "closed").mkdir(parents=True)
    (inside / "link").symlink_to(outside)
    messages = []
    for is_there in (False, True):
        if is_there:
            outside.mkdir()
            for number in range(5):
                (outside / f"f_{number:07d}.dpx").write_bytes(b"x")
            (outside / "a%20b.mkv").write_bytes(b"x")
        frames = [_frames(target_url_base=base, available_range=None) for base in ("../out", str(outside), "none")]
        films = [_film("../out/a%20b.mkv"), _film(f"file://{outside}/a%20b.mkv")]
        clips = [schema.Clip(str(number), media) for number, media in enumerate([*frames, *films])]
        found, _ = read(_timeline(inside, *clips))
        messages.append([each.message for line in found for each in line.problems])
        assert [code for _, code in codes(found)] == ["PATH_UNSAFE", "PATH_UNSAFE", "FILE_MISSING"] + [
            "PATH_UNSAFE"
        ] * 2
    assert messages[0] == messages[1]
    (line,) = read(_timeline(inside, schema.Clip("l", _frames(target_url_base="link", available_range=None))))[0]
    assert [each.code for each in line.problems] == ["PATH_UNSAFE"]
