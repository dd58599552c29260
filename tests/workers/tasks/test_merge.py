from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.errors import WorkError
from db.records import Part
from db.states import TaskKind
from tests.support.reels import House, film, house, item, moving, order, probed
from workers.media import index
from workers.tasks import inspect, merge


def _profile(at: House, path: Path, segment_frames: int) -> bytes:
    item_ = probed(at, item(path, "- deflicker"))
    parts = _inspected(at, path, segment_frames)
    merged = merge.merge(order(item_, TaskKind.MERGE, parts=parts), at.bench())
    return at.store.read(merged.outputs["profile"])


def _inspected(at: House, path: Path, segment_frames: int) -> tuple[Part, ...]:
    item_ = probed(at, item(path, "- deflicker"))
    assert item_.facts is not None
    count, parts = item_.facts.frame_count, []
    for start in range(0, count, segment_frames):
        stop = min(count, start + segment_frames)
        result = inspect.inspect(order(item_, TaskKind.INSPECT, start, stop), at.bench())
        assert result.frames == stop - start
        parts.append(Part(start_frame=start, stop_frame=stop, outputs=result.outputs))
    return tuple(parts)


def test_the_profile_is_the_same_however_the_reel_was_cut(tmp_path: Path) -> None:
    at, path = house(tmp_path), film(tmp_path / "a.mkv", moving(22), "gray")
    assert len({_profile(at, path, cut) for cut in (5, 8, 22)}) == 1


def test_mean_luma_of_the_profile_is_that_of_the_frames(tmp_path: Path) -> None:
    at, frames = house(tmp_path), moving(9)
    found = index.unpack(_profile(at, film(tmp_path / "a.mkv", frames, "gray"), 4))
    assert found["mean_luma"] == pytest.approx([frame.mean() / 255 for frame in frames], abs=1e-6)
    assert found["cut"].dtype == np.bool_


def test_a_missing_part_is_noticed(tmp_path: Path) -> None:
    at, path = house(tmp_path), film(tmp_path / "a.mkv", moving(20), "gray")
    parts = _inspected(at, path, 8)
    with pytest.raises(WorkError, match="frames 8 to 15"):
        merge.merge(order(item(path), TaskKind.MERGE, parts=(parts[0], parts[2])), at.bench())
