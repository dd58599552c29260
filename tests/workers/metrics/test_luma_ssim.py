"""SSIM of luma, window by window from its definition."""

import numpy as np
import pytest

from tests.support.damage import film, with_grain
from workers.metrics import luma_ssim


def slow_ssim(one: np.ndarray, other: np.ndarray) -> float:
    """SSIM window by window in float64, straight from its definition."""
    axis = np.arange(-5, 6)
    bell = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 1.5**2))
    bell /= bell.sum()
    total = []
    for row in range(5, one.shape[0] - 5):
        for column in range(5, one.shape[1] - 5):
            a, b = (p[row - 5 : row + 6, column - 5 : column + 6].astype(np.float64) for p in (one, other))
            ma, mb = (bell * a).sum(), (bell * b).sum()
            va, vb = (bell * (a - ma) ** 2).sum(), (bell * (b - mb) ** 2).sum()
            cov = (bell * (a - ma) * (b - mb)).sum()
            total.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return float(np.mean(total))


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_ssim_agrees_with_its_definition(sigma: float) -> None:
    source = film(1, 24, 31)[0].numpy()
    noisy = with_grain(film(1, 24, 31), sigma)[0].numpy()
    assert luma_ssim.update(noisy, source) == pytest.approx(slow_ssim(noisy[0], source[0]), abs=2e-4)
    assert luma_ssim.update(source, source) == pytest.approx(1, abs=1e-6)
