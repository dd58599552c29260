from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from tests.support.reels import film, house, item, moving, planes_of, whole_life


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
