"""Noise that is known is estimated."""

import pytest
import torch

from tests.support.damage import with_grain
from workers.metrics import noise_sigma


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_noise_is_estimated_within_a_tenth(sigma: float) -> None:
    noisy = with_grain(torch.full((1, 1, 128, 128), 0.5), sigma)[0].numpy()
    assert noise_sigma.update(noisy) == pytest.approx(sigma, rel=0.1)
