"""What an empty recipe does to samples: nothing to grey, RGB and 4:4:4; a stated bound where chroma is thinned out."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.support.reels import film, house, item, moving, planes_of, whole_life
from workers.media.pixels import WEIGHTS, Layout, to_picture, to_planes


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


@pytest.mark.parametrize(("name", "bits"), [("yuv422p", 8), ("yuv422p10le", 10), ("yuv420p", 8), ("yuv420p10le", 10)])
def test_thinned_out_chroma_stays_where_it_lies_and_between_its_neighbours_elsewhere(
    tmp_path: Path, name: str, bits: int
) -> None:
    down = 2 if "420" in name else 1
    frames = [
        [frame[0], frame[1][::down, ::2], frame[2][::down, ::2]] for frame in moving(2, 24, 32, channels=3, bits=bits)
    ]
    at = house(tmp_path)
    _, result = whole_life(at, item(film(tmp_path / "a.mkv", frames, name)))
    for made, frame in zip(planes_of(at.path(result.outputs["master"])), frames, strict=True):
        assert np.array_equal(made[0], frame[0])
        for ours, theirs in zip(made[1:], frame[1:], strict=True):
            chroma = theirs.astype(int)
            assert ours.shape == frame[0].shape
            if down == 1:
                assert np.array_equal(ours[:, ::2], chroma)
            # Linear interpolation, rounded: at most half a code value from the line, never beyond the neighbours.
            rows = np.stack([np.roll(chroma, shift, axis=0) for shift in ((-1, 0, 1) if down == 2 else (0,))])
            near = np.concatenate([rows, np.roll(rows, -1, axis=2)])
            low, high = near.min(axis=0), near.max(axis=0)
            inner = ours.astype(int)[2 * down : -2 * down, 2:-2]
            least, most = (
                np.repeat(np.repeat(edge, down, axis=0), 2, axis=1)[2 * down : -2 * down, 2:-2] for edge in (low, high)
            )
            assert (inner >= least).all()
            assert (inner <= most).all()
