"""Flicker by hand; cuts and fades are none."""

import math

import numpy as np
import pytest
import torch

from tests.support.damage import clip, faded, film, with_flicker
from workers.metrics import (
    flicker,
)
from workers.tasks import scoring


def test_flicker_by_hand() -> None:
    # Second differences of 0 1 0 1 are -2 and 2.
    assert flicker.compute(np.array([0.0, 1, 0, 1])) == pytest.approx(2)
    assert flicker.compute(np.linspace(1, 0, 20)) == pytest.approx(0, abs=1e-12)


def test_a_cut_is_no_flicker_but_a_flash_is() -> None:
    steady = 0.5 + 0.002 * np.cos(np.arange(40.0))
    cut, flash = steady.copy(), steady.copy()
    cut[17:] -= 0.3
    flash[17] -= 0.3
    assert flicker.compute(cut) == pytest.approx(flicker.compute(steady), rel=0.1)
    # The second differences of a flash of height h are h, -2 h and h.
    assert flicker.compute(flash) == pytest.approx(0.3 * math.sqrt(6 / 38), rel=0.05)


def test_flicker_is_measured_in_full_on_both_sides_of_a_cut() -> None:
    wild = 0.5 + 0.03 * np.random.default_rng(0).standard_normal(200)
    expected = np.sqrt(np.mean(np.diff(wild, 2) ** 2))
    assert flicker.compute(wild) == pytest.approx(expected, rel=1e-9)
    wild[100:] += 0.4
    assert flicker.compute(wild) == pytest.approx(expected, rel=0.05)


def test_a_cut_beside_the_first_or_last_frame_is_no_flicker() -> None:
    assert flicker.compute(np.array([0.1, 0.1, 0.1, 0.9])) == 0
    assert flicker.compute(np.array([0.9, 0.1, 0.1, 0.1])) == 0


def test_a_fade_is_no_flicker_but_jumps_are() -> None:
    clean = film(16)

    def measured(frames: torch.Tensor) -> float:
        return scoring.summarize(scoring.score(clip(frames), clip(frames)))["flicker"]

    assert measured(faded(clean)) < 0.01 < measured(with_flicker(clean))
