"""Bicubic resampling: what MATLAB gives, by hand and on a set that MATLAB made."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workers.ops import bicubic


def test_what_is_even_stays_even_and_sides_round_up() -> None:
    made = bicubic.bicubic(np.full((5, 7, 3), 90, np.uint8), 0.5)
    assert made.shape == (3, 4, 3)
    assert made == pytest.approx(90)


def test_a_ramp_stays_a_ramp_within() -> None:
    ramp = np.tile(np.arange(32.0), (4, 1))
    made = bicubic.bicubic(ramp, 2)
    assert made.shape == (8, 64)
    assert made[0, 8:-8] == pytest.approx((np.arange(64)[8:-8] + 0.5) / 2 - 0.5)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
def test_away_from_the_edges_it_is_pillows_kernel(scale: float) -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (64, 96)).astype(np.float32)
    size = (round(96 * scale), round(64 * scale))
    theirs = np.asarray(Image.fromarray(plane, "F").resize(size, Image.Resampling.BICUBIC))
    edge = round(8 * max(1, scale))
    inside = (slice(edge, -edge), slice(edge, -edge)) if scale > 1 else (slice(3, -3), slice(3, -3))
    assert bicubic.bicubic(plane, scale)[inside] == pytest.approx(theirs[inside], abs=1e-3)


def test_edges_are_mirrored_with_the_edge_twice() -> None:
    # By hand: the first of two times as many places lies at -0.25; neighbours -2 -1 0 1 stand for 1 0 0 1.
    weights = [-0.0234375, 0.2265625, 0.8671875, -0.0703125]
    values = np.array([[10.0, 50, 20, 30]])
    wanted = weights[0] * 50 + weights[1] * 10 + weights[2] * 10 + weights[3] * 50
    assert bicubic.bicubic(np.repeat(values, 4, axis=0), 2)[2, 0] == pytest.approx(wanted)
