"""Strips cover a picture, and what is computed in them is what the whole picture would give."""

import numpy as np
import pytest

from workers.ops import planes
from workers.ops.strips import aligned, strips

RNG = np.random.default_rng(8)
TALL = (301, 701)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), TALL, (64, 40_000), (3, 200_000)])
@pytest.mark.parametrize("multiple", [1, 2, 4])
def test_strips_cover_a_picture_in_order_and_begin_where_they_should(size: tuple[int, int], multiple: int) -> None:
    row, first = 0, None
    for rows, spare in strips(size, 2, multiple):
        first = spare if first is None else first
        assert rows.start == row
        assert rows.start % multiple == 0
        assert spare.shape == (2, rows.stop - rows.start, size[1])
        assert np.shares_memory(spare, first)
        row = rows.stop
    assert row == size[0]


def test_aligned_memory_begins_where_a_line_of_the_cache_does() -> None:
    for shape in ((1,), (3, 5), (2, 7, 11)):
        array = aligned(shape, np.float32)
        assert array.shape == shape
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_luma_is_put_back_as_the_formula_has_it_in_pictures_of_several_strips(dtype: type) -> None:
    picture = RNG.random((3, *TALL), np.float32) * 1.2 - 0.1
    old = planes.luma(picture)
    new = (old * dtype(1.1) + RNG.normal(0, 0.01, TALL)).astype(dtype)
    ratio = np.clip(new / np.maximum(old, 0.02), 0, 4)
    expected = picture * ratio + (new - old * ratio)
    made = planes.with_luma(picture, old, new)
    assert made.dtype == dtype
    assert np.array_equal(made, expected)
