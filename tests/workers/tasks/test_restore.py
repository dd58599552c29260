from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
import pytest

from db.errors import InputError, WorkCancelled, WorkError
from db.records import ItemView, Sequence, Substitute
from db.states import TaskKind
from tests.support.reels import (
    House,
    damaged,
    film,
    house,
    item,
    longest_recipe,
    moving,
    order,
    planes_of,
    probed,
    restored,
    whole_life,
)
from workers.media import index
from workers.media.film import ffv1
from workers.media.reel import layout_of
from workers.tasks import restore

ALL_STEPS = """
- deflicker: {window: 7}
- denoise: {method: temporal, radius: 2, strength: 0.7}
- color_enhance: {}
- upscale: {scale: 2}
"""


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _frames(at: House, item_: ItemView, segment_frames: int) -> list[list[np.ndarray]]:
    parts = restored(at, item_, segment_frames)
    return [planes for part in parts for planes in planes_of(at.path(part.outputs["chunk"]))]


def _equal(some: list[list[np.ndarray]], others: list[Any]) -> bool:
    return len(some) == len(others) and all(
        np.array_equal(a, b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(
    ("pixel_format", "bits", "channels"),
    [("gray", 8, 1), ("gray10le", 10, 1), ("gray12le", 12, 1), ("gray16le", 16, 1), ("gbrp10le", 10, 3),
     ("gbrp12le", 12, 3), ("gbrp16le", 16, 3), ("yuv444p10le", 10, 3)],
)  # fmt: skip
def test_an_empty_recipe_is_bit_exact(at: House, tmp_path: Path, pixel_format: str, bits: int, channels: int) -> None:
    frames = moving(10, channels=channels, bits=bits)
    item_ = probed(at, item(film(tmp_path / "a.mkv", frames, pixel_format)))
    assert _equal(_frames(at, item_, 4), frames)


@pytest.mark.parametrize(
    "recipe",
    ["{recipe: [], master: {chroma: full}}", "[upscale: {scale: 2}]", "[colorize: {already_colored: recolor}]"],
)
def test_chroma_is_full_where_it_is_asked_for_or_made(at: House, tmp_path: Path, recipe: str) -> None:
    frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(2)]
    item_ = probed(at, item(film(tmp_path / "a.mkv", frames, "yuv420p"), recipe))
    assert item_.facts is not None
    layout = ffv1.master_layout(layout_of(item_.facts), (24, 32), item_.recipe)
    assert (layout.model, layout.shrink) == ("yuv", (1, 1))
    if "upscale" not in recipe and "colorize" not in recipe:
        made = _frames(at, item_, 2)
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(made, frames, strict=True))
        assert made[0][1].shape == made[0][0].shape


@pytest.mark.parametrize(("pixel_format", "codec"), [("gray", "ffv1"), ("yuv420p", "libx264")])
def test_codec_threads_change_no_byte(tmp_path: Path, pixel_format: str, codec: str) -> None:
    frames = damaged(14, 48, 64)
    if pixel_format == "yuv420p":
        frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in frames]
    path = film(tmp_path / "a.mkv", frames, pixel_format, codec=codec)
    results = []
    for threads in (1, 4):
        at = house(tmp_path / f"threads{threads}", codec_threads=threads)
        item_ = probed(at, item(path, longest_recipe(outputs=["master", "masks"]), batch_frames=4))
        parts = restored(at, item_, 8)
        results.append([{name: at.path(blob).read_bytes() for name, blob in part.outputs.items()} for part in parts])
    assert {"chunk", "scores", "dirt.mask"} <= results[0][0].keys()
    assert results[0] == results[1]


@pytest.mark.parametrize("pixel_format", ["gray", "yuv420p"])
def test_no_cut_and_no_number_of_threads_changes_a_bit(at: House, tmp_path: Path, pixel_format: str) -> None:
    frames = moving(21, 32, 48, seed=5)
    if pixel_format == "yuv420p":
        frames = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in frames]
    path = film(tmp_path / "a.mkv", frames, pixel_format)
    sums = set()
    for segment_frames, threads in ((4, 1), (8, 4), (12, 2), (24, 3)):
        at = replace(at, settings=at.settings.model_copy(update={"codec_threads": threads}))
        _, result = whole_life(at, item(path, ALL_STEPS, batch_frames=4), segment_frames)
        sums.add((at.path(result.outputs["framemd5"]).read_text(), at.path(result.outputs["scores"]).read_bytes()))
    assert len(sums) == 1


@pytest.mark.parametrize(
    ("pixel_format", "bits", "channels"),
    [("gray", 8, 1), ("gray16le", 16, 1), ("yuv420p10le", 10, 3), ("gbrp12le", 12, 3)],
)
def test_the_longest_recipe_depends_on_no_cut_and_keeps_depth_and_channels(
    at: House, tmp_path: Path, pixel_format: str, bits: int, channels: int
) -> None:
    frames = damaged(19, channels=channels, bits=bits)
    if pixel_format.startswith("yuv420"):
        frames = [[frame[0], frame[1][::2, ::2], frame[2][::2, ::2]] for frame in frames]
    path = film(tmp_path / "a.mkv", frames, pixel_format)
    recipe = longest_recipe(outputs=["masks", "scores"])
    results = []
    for segment_frames in (8, 24):
        _, result = whole_life(at, item(path, recipe, batch_frames=4), segment_frames)
        results.append({name: at.path(blob).read_bytes() for name, blob in result.outputs.items()})
    for name, content in results[0].items():
        assert all(other[name] == content for other in results), name
    assert {"dirt.mask", "scratch.mask", "master", "scores"} <= results[0].keys()
    with av.open(str(at.path(result.outputs["master"]))) as master:
        assert master.streams.video[0].format.name == ("yuv420p10le" if "yuv" in pixel_format else pixel_format)


def test_a_cell_smaller_than_the_radius_changes_nothing_either(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(11, 32, 48), "gray")
    steps = "[{denoise: {method: temporal, radius: 4}}, {denoise: {method: temporal, radius: 3}}]"
    item_ = probed(at, item(path, steps, batch_frames=2))
    assert _equal(_frames(at, item_, 2), _frames(at, item_, 12))


def test_handles_are_whole_cells_inside_the_reel(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(30), "gray")
    item_ = probed(at, item(path, "[{denoise: {method: temporal, radius: 2}}, {upscale: {}}]", batch_frames=8))
    assert restore.step_spans(item_, (8, 16)) == [(0, 24), (8, 16), (8, 16)]
    assert restore.step_spans(item_, (24, 30)) == [(16, 30), (24, 30), (24, 30)]


def test_a_substitute_is_read_wherever_its_frame_would_be(at: House, tmp_path: Path) -> None:
    frames = moving(10)
    path = film(tmp_path / "a.mkv", frames, "gray")
    plain = item(path, batch_frames=4)
    swapped = plain.model_copy(
        update={"substitutes": (Substitute(frame=5, use=6, reason="x"), Substitute(frame=2, use=None, reason="y"))}
    )
    expected = [*frames[:2], np.zeros_like(frames[0]), *frames[3:5], frames[6], *frames[6:]]
    assert _equal(_frames(at, probed(at, swapped), 4), expected)


def test_neighbours_see_the_substitute_too(at: House, tmp_path: Path) -> None:
    frames = moving(10)
    held = [*frames[:5], frames[4], *frames[6:]]
    steps = "[{denoise: {method: temporal, radius: 2}}]"
    one = item(film(tmp_path / "a.mkv", frames, "gray"), steps, substitutes=(Substitute(frame=5, use=4, reason=""),))
    other = item(film(tmp_path / "b.mkv", held, "gray"), steps)
    assert _equal(_frames(at, probed(at, one), 8), _frames(at, probed(at, other), 8))


def test_movement_is_told_once_a_written_frame(at: House, tmp_path: Path) -> None:
    item_ = probed(at, item(film(tmp_path / "a.mkv", moving(20), "gray"), "[{denoise: {}}]"))
    told: list[int] = []
    restore.restore_segment(order(item_, TaskKind.RESTORE, 8, 16), at.bench(told.append))
    assert sum(told) == 8
    assert len(told) > 24


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("after", [1, 12, 25])
def test_a_cancelled_attempt_ends_at_a_frame(tmp_path: Path, after: int, threads: int) -> None:
    at = house(tmp_path, codec_threads=threads)
    item_ = probed(at, item(film(tmp_path / "a.mkv", moving(20), "gray"), "[{denoise: {}}]"))
    calls = iter(range(10**6))

    def report(frames: int) -> None:
        if next(calls) >= after:
            raise WorkCancelled

    with pytest.raises(WorkCancelled):
        restore.restore_segment(order(item_, TaskKind.RESTORE, 0, 20), at.bench(report))


def test_scores_have_a_value_for_every_frame(at: House, tmp_path: Path) -> None:
    item_ = probed(at, item(film(tmp_path / "a.mkv", moving(11), "gray")))
    found = [index.unpack(at.store.read(part.outputs["scores"])) for part in restored(at, item_, 8)]
    assert [len(part["luma_psnr"]) for part in found] == [8, 3]
    assert set(found[0]) >= {"luma_psnr", "luma_ssim", "colorfulness", "mean_luma"}


def test_touching_names_every_frame_that_a_segment_reads(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(20), "gray")
    steps = "[{denoise: {method: temporal, radius: 2}}]"
    item_ = probed(at, item(path, steps, batch_frames=4))
    assert list(restore.touch_frames(order(item_, TaskKind.RESTORE, 8, 12), at.bench())) == list(range(4, 16))


def test_segments_of_a_sequence_keep_ten_bits(at: House, tmp_path: Path) -> None:
    frames = moving(3, channels=3, bits=10)
    (tmp_path / "reel").mkdir()
    for n, frame in enumerate(frames):
        spec = oiio.ImageSpec(32, 24, 3, "uint16")
        spec.attribute("oiio:BitsPerSample", 10)
        out = oiio.ImageOutput.create("dpx")
        assert out.open(str(tmp_path / "reel" / f"r{n}.dpx"), spec)
        assert out.write_image(
            np.ascontiguousarray(np.rint(np.moveaxis(frame, 0, 2) * (65535 / 1023)).astype(np.uint16))
        )
        out.close()
    sequence = Sequence(prefix="r", suffix=".dpx", start=0, end=2)
    made = _frames(at, probed(at, item(tmp_path / "reel", sequence=sequence)), 3)
    assert _equal(made, [[frame[1], frame[2], frame[0]] for frame in frames])


def test_a_segment_without_its_reel_is_an_error_of_ours(at: House, tmp_path: Path) -> None:
    item_ = item(film(tmp_path / "a.mkv", moving(2), "gray"))
    with pytest.raises((InputError, WorkError)):
        restore.restore_segment(order(item_, TaskKind.RESTORE, 0, 2), at.bench())
