"""Densities of dye layers, and the colour that toned pictures lack."""

import cv2
import numpy as np
import pytest
import torch

from tests.support.damage import film, reel, with_grain
from workers.ops import dye_density
from workers.profiles import dye


def scene(seed: int = 0, height: int = 96, width: int = 128) -> np.ndarray:
    """Blotches of many colours, black to white."""
    coarse = np.random.default_rng(seed).random((9, 12, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0.05, 1).transpose(2, 0, 1).copy()


def test_percentiles_are_those_of_the_densities() -> None:
    picture = scene()
    got = dye.measure(picture, None)["densities"]
    inner = picture[:, 5:-5, 7:-7].reshape(3, -1)
    expected = np.percentile(dye_density.density(inner), dye_density.PERCENTILES, axis=1)
    np.testing.assert_allclose(got, expected, atol=0.02)


def test_borders_do_not_count() -> None:
    picture, framed = scene(), scene()
    framed[:, :4] = framed[:, -4:] = 0
    framed[:, :, :6] = framed[:, :, -6:] = 1
    np.testing.assert_array_equal(dye.measure(framed, None)["densities"], dye.measure(picture, None)["densities"])


def test_grain_hardly_moves_the_ends() -> None:
    picture = scene()
    grainy = with_grain(torch.from_numpy(picture)[None], 0.03)[0].numpy()
    clean, got = (dye.measure(each, None)["densities"] for each in (picture, grainy))
    assert np.abs(got - clean).max() < 0.35


@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (1.0, 0.8, 0.55), (0.7, 0.8, 1.0)])
def test_a_tone_over_all_is_no_color(tone: tuple[float, float, float]) -> None:
    toned = scene()[:1] * np.array(tone, np.float32)[:, None, None]
    assert dye.measure(toned, None)["spread"] < 0.01
    assert dye.measure(scene(), None)["spread"] > 0.03


def test_shots_are_drawn_towards_the_reel() -> None:
    frames = film(20, channels=3)
    frames[10:, 0] *= 0.5
    profile = reel(frames, ((0, 10), (10, 20)), kinds=("dye",)).profile["dye"]
    own = [dye.measure(frames[number].numpy(), None)["densities"][0, 0] for number in (0, 19)]
    assert (profile[:10] == profile[0]).all() or np.ptp(profile[:, 0, 0]) < own[1] - own[0]
    assert own[0] <= profile[0, 0, 0] <= profile[19, 0, 0] <= own[1]
