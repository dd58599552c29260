from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from workers.media import device_pixels, pixels
from workers.media.pixels import Layout

RNG = np.random.default_rng(5)
CHROMA = [
    ((1, 1), False),
    ((2, 1), False),
    ((2, 1), True),
    ((2, 2), False),
    ((2, 2), True),
    ((4, 1), False),
    ((4, 4), False),
]
LAYOUTS = [
    *(Layout("gray", bits, full) for bits, full in product((8, 10, 16), (True, False))),
    *(Layout("rgb", bits) for bits in (8, 12, 16)),
    *(Layout("yuv", bits, full, "bt709", *each) for bits, full, each in product((8, 10, 16), (True, False), CHROMA)),
    Layout("yuv", 8, False, "smpte170m", (2, 2)), Layout("yuv", 10, False, "bt2020nc", (2, 1)),
]  # fmt: skip
SIZES = [(24, 32), (37, 51), (12, 13)]


def _samples(layout: Layout, size: tuple[int, int]) -> pixels.Planes:
    small = tuple(-(-side // factor) for side, factor in zip(size, layout.shrink[::-1], strict=True))
    shapes = [size] if layout.model == "gray" else [size] * 3 if layout.model == "rgb" else [size, small, small]
    return tuple(RNG.integers(0, 2**layout.depth_bits, shape).astype(layout.dtype) for shape in shapes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_bits_are_those_of_the_cores(layout: Layout, size: tuple[int, int]) -> None:
    frames = [_samples(layout, size) for _ in range(3)]
    there = device_pixels.upload(frames, "cpu")
    pictures = device_pixels.to_picture(there, layout)
    for number, frame in enumerate(frames):
        expected = pixels.to_picture(frame, layout)
        assert pictures[number].numpy().tobytes() == expected.tobytes()
        moved = expected + RNG.normal(0, 0.2, expected.shape).astype(np.float32)
        moved[:, : size[0] // 2, : size[1] // 2] = expected[:, : size[0] // 2, : size[1] // 2]
        _expect_equal(device_pixels.to_planes(torch.from_numpy(moved), layout), pixels.to_planes(moved, layout), layout)
        if layout.model == "yuv":
            own = tuple(plane[number] for plane in there)
            changed = device_pixels.change_planes(own, pictures[number], torch.from_numpy(moved), layout)
            _expect_equal(changed, pixels.change_planes(frame, expected, moved, layout), layout)


def _expect_equal(made: device_pixels.Samples, expected: pixels.Planes, layout: Layout) -> None:
    for plane, other in zip(device_pixels.download(made, layout), expected, strict=True):
        assert plane.dtype == other.dtype == layout.dtype
        assert np.array_equal(plane, other)


def test_halves_are_rounded_to_even_and_what_lies_outside_is_clipped() -> None:
    picture = torch.tensor([[[0.5, 1.5, 2.5, -3.0, 300.0]]]) / 255
    (plane,) = device_pixels.to_planes(picture, Layout("gray", 8))
    assert plane.tolist() == [[0, 2, 2, 0, 255]]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [(Layout("gray", 8), True), (Layout("gray", 10, transfer="log"), False), (Layout("rgb", 16, floating=True), False)],
)
def test_log_light_and_floating_point_are_left_to_the_cores(layout: Layout, expected: bool) -> None:
    assert device_pixels.can_convert(layout) is expected
