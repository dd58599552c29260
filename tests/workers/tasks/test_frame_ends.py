"""Both ends of a frame's way, on the cores and in tensors as on a device: the same samples, nearly the same scores."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from db.errors import WorkCancelled
from db.records import ItemView, Substitute
from db.states import TaskKind
from tests.support.reels import (
    House,
    damaged,
    film,
    frame_of,
    house,
    item,
    longest_recipe,
    moving,
    order,
    planes_of,
    probed,
    restored,
)
from workers.background import ALONE
from workers.media import index
from workers.media.film import ffv1
from workers.media.pixels import Layout
from workers.media.reel import open_reel
from workers.tasks import frame_ends, restore
from workers.tasks.frame_ends import CoreEnds, DeviceEnds, FrameEnds

RECIPES = {
    "nothing": "[]",
    "whole frames": "[{deflicker: {window: 3}}, {color_enhance: {}}]",
    "larger": "[{upscale: {scale: 2}}]",
}
FORMATS = [
    ("gray", 8, 1), ("gray16le", 16, 1), ("yuv420p", 8, 3), ("yuv422p10le", 10, 3), ("yuv444p", 8, 3),
    ("gbrp12le", 12, 3),
]  # fmt: skip


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _film(path: Path, pixel_format: str, bits: int, channels: int) -> Path:
    frames = damaged(11, 32, 48, channels, bits)
    down, across = 2 if "420" in pixel_format else 1, 1 if "444" in pixel_format else 2
    if "yuv" in pixel_format:
        frames = [[frame[0], *(plane[::down, ::across] for plane in frame[1:])] for frame in frames]
    return film(path, frames, pixel_format)


def _outcome(at: House, item_: ItemView, segment_frames: int) -> tuple[list[bytes], dict[str, np.ndarray]]:
    """What restoring gives: the bytes of the chunks, and each column of the scores."""
    parts = restored(at, item_, segment_frames)
    rows = [index.unpack(at.store.read(part.outputs["scores"])) for part in parts]
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return [at.path(part.outputs["chunk"]).read_bytes() for part in parts], columns


def _take_device_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_ends, "open_ends", DeviceEnds)


def _expect_the_same(at: House, item_: ItemView, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks, columns = _outcome(at, item_, 8)
    _take_device_ends(monkeypatch)
    chunks_there, columns_there = _outcome(at, item_, 8)
    assert chunks_there == chunks
    assert columns_there.keys() == columns.keys()
    for name, values in columns.items():
        np.testing.assert_allclose(columns_there[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize(("pixel_format", "bits", "channels"), FORMATS)
def test_both_give_the_same_film(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixel_format: str, bits: int, channels: int, recipe: str
) -> None:
    path = _film(tmp_path / "a.mkv", pixel_format, bits, channels)
    _expect_the_same(at, probed(at, item(path, recipe, batch_frames=4)), monkeypatch)


@pytest.mark.parametrize(("pixel_format", "bits", "channels"), [FORMATS[1], FORMATS[2]])
def test_both_give_the_same_film_after_every_stage(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixel_format: str, bits: int, channels: int
) -> None:
    path = _film(tmp_path / "a.mkv", pixel_format, bits, channels)
    _expect_the_same(at, probed(at, item(path, longest_recipe(), batch_frames=4)), monkeypatch)


def test_both_show_black_and_other_frames_where_they_stand_in(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _film(tmp_path / "a.mkv", "yuv420p", 8, 3)
    black = (Substitute(frame=number, use=None, reason="") for number in (1, 4, 5, 6, 7))
    swapped = item(path, batch_frames=4, substitutes=(*black, Substitute(frame=2, use=3, reason="")))
    _expect_the_same(at, probed(at, swapped), monkeypatch)


def test_both_turn_what_its_header_asks_to_be_turned(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=16, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray"
        stream.set_display_rotation(90)
        for number, planes in enumerate(moving(5)):
            frame = frame_of(list(planes), "gray")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    item_ = probed(at, item(path))
    assert item_.facts is not None
    assert item_.facts.rotation_degrees == 90
    _expect_the_same(at, item_, monkeypatch)


def test_a_sequence_of_files_is_asked_for_its_pictures(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _film(tmp_path / "a.mkv", "gbrp12le", 12, 3)
    ends = _ends(at, probed(at, item(path, batch_frames=4)), DeviceEnds, keeps_picture=True)
    others = _ends(at, probed(at, item(path, batch_frames=4)), CoreEnds, keeps_picture=True)
    for cell, other in zip(*(each.cells((0, 8), 4, ALONE, lambda: None) for each in (ends, others)), strict=True):
        assert cell.sources == other.sources
        for wait, wait_other in zip(*(each.finish(cell.frames * 0.5, ALONE) for each in (cell, other)), strict=True):
            one, two = wait().picture, wait_other().picture
            assert one is not None
            assert two is not None
            assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("pixel_format", ["gray", "yuv420p"])
def test_no_cut_and_no_number_of_threads_changes_a_bit_of_film_or_scores(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixel_format: str
) -> None:
    _take_device_ends(monkeypatch)
    path = _film(tmp_path / "a.mkv", pixel_format, 8, 1 if pixel_format == "gray" else 3)
    item_ = probed(at, item(path, longest_recipe(outputs=["masks", "scores"]), batch_frames=2))
    frames, columns = set(), list[dict[str, np.ndarray]]()
    for segment_frames, threads in ((4, 1), (12, 1), (6, 3)):
        there = replace(at, settings=at.settings.model_copy(update={"codec_threads": threads}))
        parts = restored(there, item_, segment_frames)
        kept = [*(name for name in parts[0].outputs if name.endswith(".mask")), "chunk"]
        assert len(kept) > 1
        films = [[planes_of(at.path(part.outputs[name])) for part in parts] for name in kept]
        frames.add(b"".join(plane.tobytes() for film in films for part in film for one in part for plane in one))
        rows = [index.unpack(at.store.read(part.outputs["scores"])) for part in parts]
        columns.append({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
    assert len(frames) == 1
    for name, values in columns[0].items():
        assert all(other[name].tobytes() == values.tobytes() for other in columns), name


@pytest.mark.parametrize("recipe", ["[{color_enhance: {}}]", "[{upscale: {scale: 2}}]"])
def test_a_cell_that_is_finished_in_parts_gives_the_same_bits(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    _take_device_ends(monkeypatch)
    item_ = probed(at, item(_film(tmp_path / "a.mkv", "yuv420p", 8, 3), recipe, batch_frames=4))
    chunks, columns = _outcome(at, item_, 11)
    monkeypatch.setattr(frame_ends, "_PIXELS_TOGETHER", 3 * 32 * 48)
    chunks_in_parts, columns_in_parts = _outcome(at, item_, 11)
    assert chunks_in_parts == chunks
    for name, values in columns.items():
        assert columns_in_parts[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_cancelled_attempt_leaves_no_thread_behind(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    _take_device_ends(monkeypatch)
    item_ = probed(at, item(_film(tmp_path / "a.mkv", "gray", 8, 1), longest_recipe(), batch_frames=2))
    there = replace(at, settings=at.settings.model_copy(update={"codec_threads": 3}))
    told = 0

    def stop(frames: int) -> None:
        nonlocal told
        told += 1
        if told >= after:
            raise WorkCancelled

    with pytest.raises(WorkCancelled):
        restore.restore_segment(order(item_, TaskKind.RESTORE, 0, 11), there.bench(stop))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("read-ahead", "write-behind", "crew"))]


def test_no_frame_comes_through_that_is_not_the_one_that_was_probed(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mkv", moving(8), "gray")
    item_ = probed(at, item(path, batch_frames=4))
    film(path, moving(8, seed=1), "gray")
    _take_device_ends(monkeypatch)
    with pytest.raises(Exception, match="not the picture that the probe saw") as caught:
        restored(at, item_, 8)
    assert getattr(caught.value, "code", "") == "CHANGED_DURING_WORK"


@pytest.mark.parametrize(
    ("name", "size", "layout", "expected"),
    [
        ("cuda:0", (24, 32), Layout("gray", 8), DeviceEnds),
        ("cpu", (24, 32), Layout("gray", 8), CoreEnds),
        ("mps", (24, 32), Layout("gray", 8), CoreEnds),
        ("cuda:0", (8, 32), Layout("gray", 8), CoreEnds),
        ("cuda:0", (24, 32), Layout("gray", 10, transfer="log"), CoreEnds),
    ],
)
def test_a_device_takes_over_what_it_can(
    at: House, tmp_path: Path, name: str, size: tuple[int, int], layout: Layout, expected: type[FrameEnds]
) -> None:
    item_ = probed(at, item(film(tmp_path / "a.mkv", moving(2, *size), "gray")))
    assert type(frame_ends.open_ends(open_reel(item_, at.bench()), layout, False, name)) is expected


def _ends(at: House, item_: ItemView, kind: Any, *, keeps_picture: bool) -> FrameEnds:
    source = open_reel(item_, at.bench())
    ends: FrameEnds = kind(source, ffv1.master_layout(source.layout, source.size, item_.recipe), keeps_picture, "cpu")
    return ends
