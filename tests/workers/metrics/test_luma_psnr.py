"""PSNR of luma, against arithmetic by hand."""

import math

import numpy as np
import pytest

from workers.metrics import (
    luma_psnr,
)


def grey(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)[None]


def test_psnr_of_a_known_error() -> None:
    source = grey(np.full((8, 8), 0.5))
    assert luma_psnr.update(source + np.float32(0.1), source) == pytest.approx(20, abs=1e-4)
    assert luma_psnr.update(source, source) == 100


def test_psnr_weighs_channels_as_luma_does() -> None:
    source = np.full((3, 8, 8), 0.5, np.float32)
    redder = source.copy()
    redder[0] += 0.1
    assert luma_psnr.update(redder, source) == pytest.approx(-20 * math.log10(0.0299), abs=1e-3)
