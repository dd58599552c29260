"""SSIM of 8-bit pictures, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from workers.metrics import ssim, ssim_y
from workers.ops import planes


def test_it_is_that_of_scikit_image_in_whole_windows() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (32, 40, 3), np.uint8)
    other = np.clip(one.astype(int) + rng.integers(-20, 20, one.shape), 0, 255).astype(np.uint8)
    _, full = structural_similarity(
        one, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    theirs = float(full[5:-5, 5:-5].mean())
    assert ssim.update(planes.from_levels(one), planes.from_levels(other)) == pytest.approx(theirs, abs=1e-4)
    assert ssim.update(planes.from_levels(one), planes.from_levels(one)) == pytest.approx(1)


def test_luma_of_matlab_leaves_out_the_sides() -> None:
    reference = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    picture = reference.copy()
    picture[:4] = 0
    pair = planes.from_levels(picture), planes.from_levels(reference)
    assert ssim_y.update(*pair, crop_px=4) == pytest.approx(1)
    assert ssim_y.update(*pair) < 0.99
