"""Levels and mean colour of frames."""

import numpy as np

from tests.support.damage import film, with_grain
from workers.ops import planes
from workers.profiles import exposure


def test_levels_are_percentiles() -> None:
    frames = with_grain(film(2), 0.05).clamp(0, 1)
    levels = np.stack([exposure.measure(planes.from_frame(frame), None)["levels"] for frame in frames])
    expected = np.percentile(frames.flatten(1).numpy(), exposure.PERCENTILES, axis=1).T
    np.testing.assert_allclose(levels, expected, atol=2e-3)


def test_mean_color_is_kept_and_grey_has_three_equal_ones() -> None:
    frame = film(1, channels=3)[0]
    color = exposure.measure(planes.from_frame(frame), None)["color"]
    np.testing.assert_allclose(color, frame.mean((1, 2)).numpy(), atol=1e-5)
    grey = exposure.measure(planes.from_frame(film(1)[0]), None)["color"]
    assert grey[0] == grey[1] == grey[2]


def test_pictures_of_few_values_are_counted_as_others_are() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (1, 60, 80)).astype(np.float32)
    for picture in (codes / np.float32(255), (codes - 16) / np.float32(219)):
        levels = exposure.measure(picture, None)["levels"]
        index = np.clip(picture.ravel() * 4096, 0, 4095).astype(int)
        below = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=4096))]) / index.size * 100
        below += np.arange(4097) * 1e-12
        assert np.array_equal(levels, np.interp(exposure.PERCENTILES, below, np.arange(4097) / 4096))


def test_pictures_of_several_strips_are_counted_whole() -> None:
    luma = np.random.default_rng(2).normal(0.5, 0.3, (301, 701)).astype(np.float32)
    below = np.concatenate([[0], np.cumsum(np.histogram(luma.clip(0, 1), 4096, (0, 1))[0])]) / luma.size * 100
    expected = np.interp(exposure.PERCENTILES, below, np.arange(4097) / 4096)
    np.testing.assert_allclose(exposure.measure(luma[None], None)["levels"], expected, atol=1e-6)
