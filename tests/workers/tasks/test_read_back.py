"""What is read back of restored frames does not depend on who restored which."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from db.catalog.metrics import METRICS
from db.errors import WorkError
from db.records import NEIGHBOR_FRAMES, ItemView, Part, TaskResult
from db.states import TaskKind
from tests.support.reels import House, assembled, film, house, item, moving, order, probed, restored
from workers.media import index
from workers.tasks import assemble, read_back, scoring


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _block(at: House, item_: ItemView, parts: tuple[Part, ...], start: int, stop: int) -> TaskResult:
    return read_back.read_back(order(item_, TaskKind.READ_BACK, start, stop, parts), at.bench())


def _reel(at: House, recipe: str, count: int = 30, name: str = "a", seed: int = 0, **more: Any) -> ItemView:
    frames = moving(count, channels=3, seed=seed)
    return probed(at, item(film(at.folder / f"{name}.mkv", frames, "yuv444p", **more), recipe))


OUTPUTS = ("master", "access", "framemd5", "scores")


@pytest.mark.parametrize("recipe", ["[]", "{recipe: [], access: {fps: 24}}"])
def test_a_block_is_the_same_whatever_segments_it_lies_across(at: House, recipe: str) -> None:
    item_ = _reel(at, recipe)
    results = {}
    for segment_frames in (1, 7, 8, 30):
        parts = restored(at, item_, segment_frames)
        blocks = [_block(at, item_, parts, *span) for span in ((0, 12), (12, 24), (24, 30))]
        results[segment_frames] = [
            (block.outputs["frames"].sha256, block.outputs["access"].sha256, block.frames) for block in blocks
        ]
    assert len({tuple(each) for each in results.values()}) == 1


def _calm(count: int) -> list[Any]:
    """Frames ``(3, 48, 64)`` of a bar that goes down and a texture that goes with it: no two are alike."""
    rows, columns = np.mgrid[0:48, 0:64]
    return [
        np.stack([np.where(rows // 2 == number, 230, 60 + 20 * np.sin((columns + number) / 6)), *[rows * 0 + 128] * 2])
        .astype(np.uint8) for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("times", [(), (0, 40, 130, 170, 400, 441, 480, 500, 1000, 1040, 1100, 1200, 1300)])
def test_an_access_copy_of_many_blocks_plays_as_one_of_a_single_block(at: House, times: tuple[int, ...]) -> None:
    count = len(times) or 24
    source = _calm(count)
    path = film(at.folder / "a.mkv", source, "yuv444p", pts=list(times) or None, sound="aac")
    item_ = probed(at, item(path))
    parts = restored(at, item_, 8)
    results = [assembled(at, item_, parts, frames) for frames in (1000, 8)]
    one, many = (_shown(at.path(result.outputs["access"])) for result in results)
    assert one[0] == many[0]
    assert len(many[0]) == count
    for _, pictures in (one, many):
        distances = [[np.abs(frame[0].astype(float) - picture).mean() for frame in source] for picture in pictures]
        assert [int(np.argmin(each)) for each in distances] == list(range(count))
    with av.open(str(at.path(results[1].outputs["access"]))) as opened:
        packets = [packet for packet in opened.demux(video=0) if packet.size]
    assert [place for place, packet in enumerate(packets) if packet.is_keyframe] == list(range(0, count, 8))
    assert all(packet.dts <= packet.pts for packet in packets)
    assert np.all(np.diff([packet.dts for packet in packets]) > 0)
    assert np.any(np.diff([packet.pts for packet in packets]) < 0)
    for name in ("master", "framemd5", "scores"):
        assert results[0].outputs[name].sha256 == results[1].outputs[name].sha256


def _shown(path: Path) -> tuple[list[int], list[NDArray[Any]]]:
    """Return when a film's frames are shown, in 90,000th of a second, and their luma."""
    with av.open(str(path)) as opened:
        frames = list(opened.decode(video=0))
        times = [round(float(frame.time) * 90_000) for frame in frames]
        return times, [frame.to_ndarray(format="gray") for frame in frames]


@pytest.mark.parametrize("access", ["{preset: ultrafast}", "{preset: placebo, crf: 30.5}", "{crf: 0}"])
def test_blocks_join_however_hard_x264_tries_and_whatever_it_may_lose(at: House, access: str) -> None:
    source = _calm(20)
    item_ = probed(at, item(film(at.folder / "a.mkv", source, "yuv444p"), f"{{recipe: [], access: {access}}}"))
    times, pictures = _shown(at.path(assembled(at, item_, restored(at, item_, 8), 8).outputs["access"]))
    assert len(times) == len(set(times)) == 20
    distances = [[np.abs(frame[0].astype(float) - picture).mean() for frame in source] for picture in pictures]
    assert [int(np.argmin(each)) for each in distances] == list(range(20))


def test_what_an_access_copy_may_lose_is_what_the_recipe_says(at: House) -> None:
    sizes, lost = [], []
    source = film(at.folder / "a.mkv", moving(12), "gray")
    for crf in (0, 18, 40):
        item_ = probed(at, item(source, f"{{recipe: [], access: {{crf: {crf}}}}}"))
        path = at.path(assembled(at, item_, restored(at, item_, 12), 12).outputs["access"])
        sizes.append(path.stat().st_size)
        lost.append(np.abs(np.stack(_shown(path)[1]).astype(float) - np.stack(list(moving(12)))[:, 0]).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert lost == sorted(lost)
    assert lost[0] < 1


_ENCODE = """
import sys
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from db.recipe import parse
from tests.support.reels import frame_of, moving
from workers.media.film import access_copy
from workers.media.film.timing import Clock
from workers.media.pixels import Layout
facts = SimpleNamespace(sample_aspect=Fraction(1), primaries="unknown", transfer="unknown")
plan = SimpleNamespace(layout=Layout("gray", 8), size=(48, 64), clock=Clock(Fraction(24)), facts=facts)
frames = (frame_of(list(frame), "gray") for frame in moving(40, 48, 64))
access_copy.encode_block(Path(sys.argv[1]), frames, plan, parse("[]", "r"))
"""


def test_the_same_pictures_give_the_same_access_copy_whatever_lay_in_memory_before(tmp_path: Path) -> None:
    paths = [tmp_path / f"{filler}.mp4" for filler in (1, 85, 170)]
    for path in paths:
        environment = os.environ | {"MALLOC_PERTURB_": path.stem}
        subprocess.run([sys.executable, "-c", _ENCODE, path], env=environment, check=True)
    assert len({path.read_bytes() for path in paths}) == 1


def test_an_access_copy_so_slow_that_blocks_are_without_a_frame(at: House) -> None:
    item_ = _reel(at, "{recipe: [], access: {fps: 1}}", 40)
    result = assembled(at, item_, restored(at, item_, 8), 8)
    with av.open(str(at.path(result.outputs["access"]))) as opened:
        assert [float(frame.time) for frame in opened.decode(video=0)] == [0, 1, 2]


def test_neighbours_are_compared_over_the_bounds_of_blocks(at: House) -> None:
    item_ = _reel(at, "[]", 20)
    parts = restored(at, item_, 6)
    values = {}
    for frames in (20, 3):
        blocks = [_block(at, item_, parts, start, min(20, start + frames)) for start in range(0, 20, frames)]
        read = [index.unpack(at.store.read(block.outputs["frames"])) for block in blocks]
        names = [name for name in read[0] if name.startswith(("warp_error_", "color_consistency_"))]
        values[frames] = {name: np.concatenate([each[name] for each in read]) for name in names}
    assert values[20].keys() == values[3].keys() >= {"warp_error_1", "color_consistency_4"}
    for name, series in values[20].items():
        distance = int(name.rpartition("_")[2])
        assert np.array_equal(series, values[3][name], equal_nan=True)
        assert np.isnan(series).tolist() == [True] * distance + [False] * (20 - distance)


def test_no_metric_looks_further_back_than_blocks_are_read_from() -> None:
    modules = [scoring.metric_module(spec) for spec in METRICS.values() if spec.compares == "previous"]
    assert max(max(module.DISTANCES) for module in modules) <= NEIGHBOR_FRAMES


def test_a_chunk_that_cannot_be_read_is_told(at: House) -> None:
    item_ = _reel(at, "[]", 16)
    parts = restored(at, item_, 8)
    short = parts[0].model_copy(update={"outputs": restored(at, item_, 4)[0].outputs})
    with pytest.raises(WorkError, match="12 of frames 0 to 15") as caught:
        _block(at, item_, (short, parts[1]), 0, 16)
    assert caught.value.code == "WORKER_FAULT"


def test_a_master_of_other_packets_than_those_that_were_read_is_refused(at: House) -> None:
    item_, other = _reel(at, "[]", 16), _reel(at, "[]", 16, "b", seed=1)
    parts = restored(at, item_, 8)
    whole = order(item_, TaskKind.ASSEMBLE, parts=parts)
    wrong = whole.model_copy(update={"blocks": _blocks(at, other, restored(at, other, 8))})
    with pytest.raises(WorkError, match="Frame 0 of the master is not what was read back"):
        assemble.assemble(wrong, at.bench())
    right = whole.model_copy(update={"blocks": _blocks(at, item_, parts)})
    assert assemble.assemble(right, at.bench()).frames == 16


def _blocks(at: House, item_: ItemView, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(
        Part(start_frame=start, stop_frame=start + 8, outputs=_block(at, item_, parts, start, start + 8).outputs)
        for start in (0, 8)
    )


def test_an_order_without_blocks_reads_back_by_itself(at: House) -> None:
    item_ = _reel(at, "[]", 20, rate=Fraction(18))
    parts = restored(at, item_, 8)
    alone = assemble.assemble(order(item_, TaskKind.ASSEMBLE, parts=parts), at.bench())
    usual = assembled(at, item_, parts)
    assert [alone.outputs[name].sha256 for name in OUTPUTS] == [usual.outputs[name].sha256 for name in OUTPUTS]
    assert not [key for key in at.store.keys("") if "/blocks/" in key]
