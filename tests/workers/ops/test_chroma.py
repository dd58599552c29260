"""Colour that is smoothed within what is of one lightness, and bent towards a limit."""

import numpy as np
import pytest

from workers.ops import chroma


def test_nothing_is_done_at_nought() -> None:
    colors = np.random.default_rng(0).normal(0, 40, (2, 9, 12)).astype(np.float32)
    light = np.full((9, 12), 50, np.float32)
    assert chroma.smooth(colors, light, 0) is colors
    assert chroma.bend(colors, 0) is colors


def test_weak_colour_stays_strong_colour_is_bent_below_the_limit_and_hue_is_kept() -> None:
    strength = np.linspace(0, 150, 301, dtype=np.float32)[None]
    bent = chroma.bend(np.stack([strength * np.float32(0.6), strength * np.float32(-0.8)]), 36)
    found = np.hypot(*bent)[0]
    assert np.all(found <= 36)
    assert np.all(np.diff(found) >= 0)
    np.testing.assert_allclose(found[strength[0] < 19], strength[0][strength[0] < 19], rtol=1e-5)
    np.testing.assert_allclose(bent[1], bent[0] * -0.8 / 0.6, rtol=1e-4, atol=1e-4)


def test_noise_in_colour_goes_and_an_edge_that_lightness_has_too_stays() -> None:
    light = np.where(np.arange(64) < 32, 30, 70).astype(np.float32) * np.ones((48, 1), np.float32)
    true = np.stack([np.where(light > 50, 25, -10), np.where(light > 50, 5, 20)]).astype(np.float32)
    noisy = true + np.random.default_rng(1).normal(0, 8, true.shape).astype(np.float32)
    smoothed = chroma.smooth(noisy, light, 8)
    assert np.abs(smoothed - true).mean() < 0.3 * np.abs(noisy - true).mean()
    step = smoothed[0, :, 33].mean() - smoothed[0, :, 30].mean()
    assert step == pytest.approx(35, abs=4)
