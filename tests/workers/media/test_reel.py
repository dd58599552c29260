from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from db.errors import InputError
from tests.support.reels import film, house, item, moving, planes_of, probed, whole_life
from workers.background import open_crew
from workers.media import reel


def _without_marks(path: Path, plain: Path) -> Path:
    """The same film with no packet marked as one where decoding can start, as VC-2 in Matroska has none."""
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.size:
                packet.stream, packet.is_keyframe = picture, False
                out.mux_one(packet)
    return path


def test_a_film_whose_container_cannot_be_sought_is_copied_first(tmp_path: Path) -> None:
    path = _without_marks(tmp_path / "a.mkv", film(tmp_path / "plain.mkv", moving(5), "gray"))
    at = house(tmp_path)
    item_, result = whole_life(at, item(path), 2)
    assert item_.facts is not None
    assert item_.facts.mezzanine is not None
    master, source = (planes_of(each) for each in (at.path(result.outputs["master"]), path))
    assert len(master) == 5
    assert all(np.array_equal(ours[0], theirs[0]) for ours, theirs in zip(master, source, strict=True))


FILMS = {
    "every frame by itself": ("ffv1", {}),
    "frames that look ahead": ("libx264", {"bf": "3", "crf": "12"}),
    "frames that look back": ("mpeg4", {"q": "3"}),
}


@pytest.mark.parametrize("kind", FILMS)
@pytest.mark.parametrize(("start", "stop"), [(0, 21), (3, 11), (17, 21), (20, 21)])
def test_a_crew_reads_the_very_frames(tmp_path: Path, kind: str, start: int, stop: int) -> None:
    codec, options = FILMS[kind]
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(21, 64, 96)]
    at = house(tmp_path, codec_threads=4)
    item_ = probed(at, item(film(tmp_path / "a.mkv", frames, "yuv420p", codec=codec, options=options)))
    source = reel.open_reel(item_, at.bench())
    with open_crew(4, 5) as crew:
        together = list(reel.read_frames(source, start, stop, crew))
    alone = list(reel.read_frames(source, start, stop))
    assert [frame.source for frame in together] == list(range(start, stop))
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.picture, other.picture)
        assert one.samples is not None
        assert other.samples is not None
        assert all(map(np.array_equal, one.samples, other.samples))


def test_a_crew_tells_which_frame_is_another_one(tmp_path: Path) -> None:
    at, frames = house(tmp_path, codec_threads=4), moving(12)
    item_ = probed(at, item(film(tmp_path / "a.mkv", frames, "gray")))
    frames[7] = frames[7] ^ 1
    film(tmp_path / "a.mkv", frames, "gray")
    source = reel.open_reel(item_, at.bench())
    with (
        open_crew(4, 5) as crew,
        pytest.raises(InputError, match="frame 7: not the picture that the probe saw") as caught,
    ):
        list(reel.read_frames(source, 2, 12, crew))
    assert caught.value.code == "CHANGED_DURING_WORK"
