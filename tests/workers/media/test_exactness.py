"""What an empty recipe does to samples, which is nothing; and what a changed picture does to thinned out chroma."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.support.reels import film, house, item, planes_of, whole_life
from workers.media.pixels import WEIGHTS, Layout, change_planes, to_picture, to_planes


@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full_range", [True, False])
def test_444_comes_back_to_the_bit(matrix: str, bits: int, full_range: bool) -> None:
    layout, top = Layout("yuv", bits, full_range, matrix), 2**bits
    extremes = np.array(list(itertools.product([0, 1, top // 2, top - 2, top - 1], repeat=3))).T
    anything = np.random.default_rng(bits).integers(0, top, (3, 40_000))
    samples = np.concatenate([extremes, anything], axis=1).astype(layout.dtype)[:, None]
    back = to_planes(to_picture(tuple(samples), layout), layout)
    assert np.array_equal(np.stack(back), samples)


_THIN = {"yuv422p": (2, 1), "yuv420p": (2, 2), "yuv411p": (4, 1), "yuv410p": (4, 4), "yuv440p": (1, 2)}


def _thin_film(name: str, size: tuple[int, int], count: int = 2, seed: int = 0) -> list[list[np.ndarray]]:
    """Frames of noise in a layout whose chroma planes are smaller."""
    bits = int(name.removesuffix("le").rpartition("p")[2] or 8)
    across, down = _THIN[name.removesuffix("le").removesuffix(str(bits)) if bits > 8 else name]
    rng, dtype = np.random.default_rng(seed), np.uint8 if bits == 8 else np.uint16
    small = (-(-size[0] // down), -(-size[1] // across))
    return [[rng.integers(0, 2**bits, each, dtype) for each in (size, small, small)] for _ in range(count)]


@pytest.mark.parametrize("size", [(24, 32), (23, 31), (1, 1), (2, 2), (3, 5), (65, 66)])
@pytest.mark.parametrize(
    "name", ["yuv422p", "yuv422p10le", "yuv420p", "yuv420p10le", "yuv420p16le", "yuv411p", "yuv410p", "yuv440p"]
)
def test_an_empty_recipe_keeps_thinned_out_chroma_to_the_bit(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    if name in ("yuv411p", "yuv410p"):
        size = (size[0] * 16, size[1] * 16)  # of other sizes FFV1 loses some chroma
    path = film(tmp_path / "a.mkv", _thin_film(name, size), name, options={"level": "1"})
    at = house(tmp_path)
    _, result = whole_life(at, item(path))
    for made, frame in zip(planes_of(at.path(result.outputs["master"])), planes_of(path), strict=True):
        for ours, theirs in zip(made, frame, strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shrink", sorted(set(_THIN.values())))
def test_samples_change_only_where_the_picture_did(shrink: tuple[int, int], centered: bool) -> None:
    layout = Layout("yuv", 8, False, "bt709", shrink, centered)
    (across, down), rng = shrink, np.random.default_rng(1)
    small = (32 // down, 48 // across)
    source = tuple(rng.integers(16, 236, each, np.uint8) for each in ((32, 48), small, small))
    before = to_picture(source, layout)
    after = before.copy()
    after[:, 12:16, 16:24] = [[[0.9]], [[0.1]], [[0.2]]]
    changed = change_planes(source, before, after, layout)
    luma = changed[0] != source[0]
    assert luma.any()
    assert not luma[:12].any()
    assert not luma[16:].any()
    assert not luma[:, :16].any()
    assert not luma[:, 24:].any()
    for ours, theirs in zip(changed[1:], source[1:], strict=True):
        rows, columns = np.nonzero(ours != theirs)
        assert rows.size
        # On luma columns chroma is weighted over the columns around it; between them it is a mean of its own.
        left, right = (16, 24) if centered else (16 - across + 1, 24 + across - 1)
        assert (rows * down >= 12).all()
        assert (rows * down < 16).all()
        assert (columns * across >= left).all()
        assert (columns * across < right).all()


def test_thinning_is_the_mean_or_the_triangle_over_the_columns_around() -> None:
    ramp = np.zeros((2, 8), np.float32)
    ramp[:, 3] = 0.4
    picture = np.stack([ramp, ramp, ramp + np.float32(0)])
    picture[2] += ramp  # a blue column, at 3
    for centered, expected in ((True, [0, 1 / 2, 0, 0]), (False, [0, 1 / 4, 1 / 4, 0])):
        full = to_planes(picture, Layout("yuv", 16, True, "smpte170m"))[1].astype(float) - 2**15
        thin = to_planes(picture, Layout("yuv", 16, True, "smpte170m", (2, 1), centered))[1].astype(float) - 2**15
        np.testing.assert_allclose(thin[0], full[0, 3] * np.array(expected), atol=1)
