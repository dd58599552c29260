"""What is looked up of grey pictures is what they would be computed to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workers.media import pixels, planes
from workers.media.film import access_copy
from workers.media.pixels import Layout

LAYOUTS = (
    Layout("gray", 8), Layout("gray", 16), Layout("gray", 10, full_range=False), Layout("gray", 12, transfer="log"),
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("lines", [480, 1080])
def test_grey_on_the_screen_is_what_its_arithmetic_says(layout: Layout, lines: int) -> None:
    samples = np.random.default_rng(lines).integers(0, 2**layout.depth_bits, (32, 48)).astype(layout.dtype)
    screen = access_copy._screen_layout(layout, lines)
    picture = pixels.to_picture((samples,), layout)
    luma, blue, red = pixels.to_planes(np.broadcast_to(picture, (3, 32, 48)), screen)
    stream: Any = SimpleNamespace(width=48, height=32)
    shown = planes.to_planes(
        access_copy._on_screen(planes.to_frame((samples,), layout), layout, screen, stream),
        Layout("yuv", 8, full_range=False, matrix=screen.matrix, shrink=(2, 2)),
    )
    assert np.array_equal(shown[0], luma)
    assert np.array_equal(shown[1], blue[::2, ::2])
    assert np.array_equal(shown[2], red[::2, ::2])
