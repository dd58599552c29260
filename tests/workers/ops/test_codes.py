"""Planes of few values are found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.media.pixels import Layout, to_picture
from workers.ops import codes, planes

RNG = np.random.default_rng(3)


def _samples(height: int = 37, width: int = 50) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("full_range", [True, False])
def test_samples_of_eight_bits_are_found_again(full_range: bool) -> None:
    samples = _samples()
    (plane,) = to_picture((samples,), Layout("gray", 8, full_range))
    found = codes.to_codes(plane)
    assert found is not None
    assert np.array_equal(found.codes, samples)
    assert np.array_equal(found.values[found.codes].view(np.uint32), plane.view(np.uint32))


@pytest.mark.parametrize("kind", ["deep", "one pixel", "no number", "colour", "empty rows"])
def test_other_planes_are_told_apart(kind: str) -> None:
    (plane,) = to_picture((_samples(),), Layout("gray", 8))
    if kind == "deep":
        (plane,) = to_picture((RNG.integers(0, 65536, (37, 50), dtype=np.uint16),), Layout("gray", 16))
    if kind == "one pixel":
        plane[20, 30] += np.float32(1e-6)
    if kind == "no number":
        plane[3, 3] = np.nan
    if kind == "colour":
        plane = planes.luma(to_picture((_samples(), _samples(), _samples()), Layout("rgb", 8)))
    if kind == "empty rows":
        plane[:] = np.float32(0.5)
    assert codes.to_codes(plane) is None


@pytest.mark.parametrize("shape", [(37, 50), (3, 1 << 22), (9, 1 << 22)])
def test_pixels_are_counted_by_their_code(shape: tuple[int, int]) -> None:
    samples = np.full(shape, 7, np.uint8)
    samples[:, ::5] = RNG.integers(0, 256, samples[:, ::5].shape, dtype=np.uint8)
    coded = codes.Coded(samples, np.arange(256, dtype=np.float32))
    assert np.array_equal(coded.counts(), np.bincount(samples.ravel(), minlength=256))
