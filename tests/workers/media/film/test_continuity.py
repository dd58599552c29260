"""Films that were joined of files whose clocks know nothing of one another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.reels import House, film, frame_of, house, item, moving, planes_of, whole_life

RATE, SOUND_HZ, FRAMES = 25, 48_000, 25


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _part(path: Path, codec: str, sound: str, lead: int, seed: int) -> Path:
    """A second of film whose clock begins with ``lead`` seconds."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream(codec, rate=RATE, options={"bf": "2"})
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        picture.codec_context.gop_size, picture.codec_context.time_base = 8, Fraction(1, RATE)
        track = out.add_stream(sound, rate=SOUND_HZ, layout="mono")
        fitted = av.AudioResampler(format=track.codec_context.format.name, layout="mono", rate=SOUND_HZ)
        wave = (8000 * np.sin(np.arange(SOUND_HZ // RATE) / 5)).astype(np.int16)
        for n, (plane,) in enumerate(moving(FRAMES, 48, 64, seed=seed)):
            frame = frame_of([plane, plane[::2, ::2], plane[1::2, 1::2]], "yuv420p")
            frame.pts, frame.time_base = n + lead * RATE, Fraction(1, RATE)
            out.mux(picture.encode(frame))
            heard = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            heard.sample_rate, heard.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
            heard.pts = n * len(wave) + lead * SOUND_HZ
            for part in fitted.resample(heard):
                out.mux(track.encode(part))
        out.mux(picture.encode(None))
        out.mux(track.encode(None))
    return path


def _begins(path: Path) -> tuple[list[float], float]:
    """When each packet of sound begins, and the first picture."""
    with av.open(str(path)) as opened:
        picture = opened.streams.video[0].index
        times: dict[int, list[float]] = {0: [], 1: []}
        for packet in opened.demux():
            if packet.size and packet.pts is not None:
                times[packet.stream.index].append(float(packet.pts * packet.time_base))
    return times[1 - picture], min(times[picture])


@pytest.mark.parametrize(
    ("name", "codec", "sound", "leads"),
    [("a.vob", "mpeg2video", "mp2", (0, 0, 0)), ("a.mpg", "mpeg1video", "ac3", (50, 0)),
     ("a.ts", "libx264", "aac", (0, 0)), ("a.ts", "mpeg2video", "mp2", (0, 3600, 0)),
     ("a.m2ts", "libx264", "ac3", (7, 7))],
)  # fmt: skip
def test_a_clock_that_starts_again_goes_on(
    at: House, tmp_path: Path, name: str, codec: str, sound: str, leads: tuple[int, ...]
) -> None:
    parts = [_part(tmp_path / f"{n}{name}", codec, sound, lead, n) for n, lead in enumerate(leads)]
    joined = tmp_path / name
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    item_, result = whole_life(at, item(joined), 32)
    assert item_.facts is not None
    assert (item_.facts.rate, item_.facts.variable_rate, item_.facts.damaged) == (RATE, False, "")
    places = ", ".join(str(FRAMES * n) for n in range(1, len(leads)))
    assert any(f"clock starts again at frame{'s' * (len(leads) > 2)} {places}, " in note for note in result.notes)
    master = at.path(result.outputs["master"])
    wanted = [frame for part in parts for frame in planes_of(part)]
    assert len(wanted) == FRAMES * len(parts)
    for ours, theirs in zip(planes_of(master), wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    heard, _ = _begins(master)
    expected = [
        n * FRAMES / RATE + begins - first
        for n, (times, first) in enumerate(map(_begins, parts))
        for begins in times
    ]  # fmt: skip
    assert len(heard) == len(expected)
    # Where sound is longer than its picture it reaches into the next part by a packet.
    assert np.abs(np.array(heard) - heard[0] - np.array(expected) + expected[0]).max() < 0.025


def test_an_unbroken_clock_is_left_alone(at: House, tmp_path: Path) -> None:
    _, result = whole_life(at, item(_part(tmp_path / "a.ts", "mpeg2video", "mp2", 5, 0)), 32)
    assert not any("clock" in note for note in result.notes)


def test_frames_without_times_of_their_own_begin_where_the_sound_says(at: House, tmp_path: Path) -> None:
    # Program streams give times to some frames alone.
    path = _part(tmp_path / "a.vob", "mpeg1video", "ac3", 50, 0)
    _, result = whole_life(at, item(path), 32)
    source, master = _begins(path), _begins(at.path(result.outputs["master"]))
    assert master[0][0] - master[1] == pytest.approx(max(0, source[0][0] - source[1]), abs=0.02)


def test_a_film_that_is_joined_and_has_no_sound_goes_on(at: House, tmp_path: Path) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(10, 48, 64)]
    part = film(tmp_path / "one.mpg", frames, "yuv420p", codec="mpeg2video", rate=Fraction(25))  # type: ignore[arg-type]
    joined = tmp_path / "a.mpg"
    joined.write_bytes(part.read_bytes() * 3)
    _, result = whole_life(at, item(joined), 32)
    assert result.frames == 30
    assert any("clock starts again at frames 10, 20, " in note for note in result.notes)
