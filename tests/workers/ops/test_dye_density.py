"""Fading, and what undoes it."""

import numpy as np
import pytest

from tests.workers.profiles.test_dye import scene
from workers.ops import dye_density
from workers.profiles import dye


def faded(picture: np.ndarray, left: tuple[float, float, float], stain: tuple[float, float, float]) -> np.ndarray:
    """By the model itself: each layer keeps a share of its density and gains a stain."""
    light = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    densities = -np.log10(light) * np.array(left)[:, None, None] + np.array(stain)[:, None, None]
    light = 10**-densities
    coded: np.ndarray = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return coded.astype(np.float32)


def fading(picture: np.ndarray) -> dye_density.Fading:
    row = dye.measure(picture, None)
    return dye_density.estimate(row["densities"], float(row["spread"]))


def test_what_one_layer_lost_comes_back() -> None:
    picture = scene()
    lost = faded(picture, (0.55, 0.95, 0.7), (0.02, 0.05, 0.15))
    found = fading(lost)
    assert found.amount(None) == 1
    np.testing.assert_allclose(found.gain / found.gain[1], [0.95 / 0.55, 1, 0.95 / 0.7], rtol=0.12)
    restored = dye_density.restore(lost, found, 1)
    assert np.abs(restored - picture).mean() < np.abs(lost - picture).mean() / 3


def test_a_share_of_the_amount_does_a_share() -> None:
    lost = faded(scene(), (0.6, 0.95, 0.8), (0.0, 0.03, 0.1))
    found = fading(lost)
    none, half, full = (dye_density.restore(lost, found, amount) for amount in (0, 0.5, 1))
    np.testing.assert_allclose(none, lost, atol=2e-3)
    assert (np.abs(half - lost) <= np.abs(full - lost) + 1e-6).all()


@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (1.0, 0.75, 0.5)])
def test_grey_and_toned_pictures_are_not_restored_even_when_asked(tone: tuple[float, float, float]) -> None:
    toned = scene()[:1] * np.array(tone, np.float32)[:, None, None]
    assert fading(toned).amount(None) == 0
    assert fading(toned).amount(1) == 0


def test_equal_layers_show_no_evidence() -> None:
    picture = scene()
    picture[:, 20:24, 20:24] = 0.05
    picture[:, 60:64, 20:24] = 1
    assert fading(picture).evidence < 0.1


def test_layers_that_have_their_whole_range_show_no_evidence_however_unlike_they_are() -> None:
    levels = np.linspace([0.0, 0.01, 0.15], [2.5, 3.0, 3.0], 9)
    assert dye_density.estimate(levels, 0.1).evidence == 0
    assert dye_density.estimate(levels * [0.6, 0.9, 0.8], 0.1).evidence == 1


def test_values_outside_stay_outside() -> None:
    lost = faded(scene(), (0.6, 0.95, 0.8), (0.0, 0.03, 0.1))
    found = fading(lost)
    lost[:, 0, 0], lost[:, 0, 1] = 1.3, -0.2
    restored = dye_density.restore(lost, found, 1)
    assert (restored[:, 0, 0] >= 1.2).all()
    assert (restored[:, 0, 1] < 0).all()
    assert restored.max() < 1.31


def test_crosstalk_leaves_grey_grey() -> None:
    grey = np.broadcast_to(scene()[:1], (3, 96, 128))
    equal = dye_density.Fading(np.zeros(3), np.ones(3), 1.0, 1.0)
    restored = dye_density.restore(grey, equal, 1, 0.1)
    np.testing.assert_allclose(restored[0], restored[2], atol=1e-6)
