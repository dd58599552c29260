"""PSNR of 8-bit pictures, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.metrics import psnr, psnr_y
from workers.ops import planes


def test_an_error_of_one_level_everywhere_is_48_decibels() -> None:
    dark = planes.from_levels(np.full((12, 16, 3), 100, np.uint8))
    light = planes.from_levels(np.full((12, 16, 3), 101, np.uint8))
    assert psnr.update(dark, light) == pytest.approx(20 * math.log10(255))
    assert psnr.update(dark, dark) == 100
    assert psnr.compute(np.array([20.0, 40.0])) == 30


def test_luma_of_matlab_leaves_out_the_sides() -> None:
    reference = np.full((12, 16, 3), 100, np.uint8)
    picture = reference.copy()
    picture[:, :2] = 255
    one, other = planes.from_levels(picture), planes.from_levels(reference)
    assert psnr_y.update(one, other, crop_px=2) == 100
    # Luma spans 219 levels: 155 levels too many in one of eight columns.
    expected = 10 * math.log10(255**2 / ((155 * 219 / 255) ** 2 / 8))
    assert psnr_y.update(one, other) == pytest.approx(expected, rel=1e-3)
    assert psnr_y.update(one[:1], other[:1], crop_px=2) == 100, "grey stands for three equal channels"
