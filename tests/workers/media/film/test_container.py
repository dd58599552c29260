"""Films whose pictures are not what their header says."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from db.errors import InputError
from tests.support.reels import House, film, house, item, moving, probed
from workers.media.film import container


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path, max_pixels=10_000)


def growing(path: Path, codec: str, *sides: int) -> Path:
    """A film whose header has the size of the first picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24)
        stream.width = stream.height = sides[0]
        stream.pix_fmt = "gray" if codec == "png" else "yuvj420p"
        for number, side in enumerate(sides):
            body = io.BytesIO()
            Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(body, "PNG" if codec == "png" else "JPEG")
            packet = av.Packet(body.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 24), stream, True
            out.mux_one(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mov", "png"), ("a.avi", "mjpeg"), ("a.mkv", "mjpeg")])
def test_a_later_picture_beyond_the_limit_is_never_decoded(at: House, tmp_path: Path, name: str, codec: str) -> None:
    with pytest.raises(InputError) as caught:
        probed(at, item(growing(tmp_path / name, codec, 64, 64, 400)))
    assert caught.value.code == "CORRUPT"
    assert "after frame 2" in caught.value.message
    assert "more than max_pixels" in caught.value.message


def test_a_later_picture_within_the_limit_is_another_geometry(at: House, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        probed(at, item(growing(tmp_path / "a.mov", "png", 64, 64, 90)))
    assert caught.value.code == "MIXED_GEOMETRY"


def test_one_that_is_opened_without_a_limit_has_none(tmp_path: Path) -> None:
    with container.open_film(growing(tmp_path / "a.mov", "png", 64, 400)) as (opened, stream):
        seen = [frame.width for frame in container.frames(opened, stream, lambda damage: pytest.fail(damage))]
    assert seen == [64, 400]


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_a_film_that_takes_too_long_to_open_is_given_up(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / name, moving(2), "gray")
    monkeypatch.setattr(container, "SECONDS", (1e-9, 1e-9))
    with pytest.raises(InputError, match="too long") as caught, container.open_film(path):
        pass
    assert caught.value.code == "CORRUPT"


READ_TWICE = """
import sys
from contextlib import ExitStack
from pathlib import Path
from workers.media.film import container
for _ in range(2):
    with ExitStack() as stack:
        opened = container.open_input(Path(sys.argv[1]), stack)
        track = opened.streams.audio[0]
        channels = {track.codec_context.channels, track.codec_context.channels, track.layout.nb_channels}
        samples = sum(frame.samples for frame in opened.decode(track))
print(channels, samples)
"""


@pytest.mark.parametrize(
    ("name", "codec", "layout", "channels"),
    [("a.mov", "pcm_s16le", "7.1", 8), ("a.mov", "pcm_s16le", "hexadecagonal", 16),
     ("a.mov", "pcm_s16le", "stereo", 2), ("a.caf", "pcm_s16le", "7.1", 8), ("a.aiff", "pcm_s16be", "7.1", 8),
     ("a.mkv", "pcm_s16le", "7.1", 8)],
)  # fmt: skip
def test_sound_of_many_channels_does_not_end_the_process(
    tmp_path: Path, name: str, codec: str, layout: str, channels: int
) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        track = out.add_stream(codec, rate=8000, layout=layout)
        sound = av.AudioFrame(format=track.codec_context.format.name, layout=layout, samples=800)
        sound.sample_rate, sound.pts, sound.time_base = 8000, 0, Fraction(1, 8000)
        out.mux(track.encode(sound))
        out.mux(track.encode(None))
    # In a process of its own: what it is about ends the process.
    done = subprocess.run([sys.executable, "-c", READ_TWICE, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{{{channels}}} 800\n"), done.stderr
