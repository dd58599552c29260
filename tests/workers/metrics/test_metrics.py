"""Every metric against arithmetic that is not ours."""

import math

import numpy as np
import pytest
import torch

from db.catalog.metrics import METRICS
from tests.support.damage import clip, faded, film, with_flicker, with_grain
from workers.metrics import colorfulness, flicker, luma_psnr, luma_ssim, noise_sigma, sharpness
from workers.tasks import scoring


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


def test_colourfulness_by_hand() -> None:
    # Half the picture red, half blue: rg is 255 or 0, yb is 127.5 or -255.
    picture = np.zeros((3, 2, 2), np.float32)
    picture[0, 0], picture[2, 1] = 1, 1
    expected = math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, -63.75)
    assert colorfulness.update(picture) == pytest.approx(expected, rel=1e-5)


def test_grey_has_no_colour() -> None:
    picture = film(1)[0].numpy()
    assert colorfulness.update(picture) == 0
    assert colorfulness.update(np.repeat(picture, 3, 0)) == pytest.approx(0, abs=1e-4)


def test_sharpness_by_hand() -> None:
    # A checkerboard of 0 and 1 answers the Laplacian with +4 and -4 everywhere: variance 16.
    board = grey(np.indices((8, 8)).sum(0) % 2)
    assert sharpness.update(board) == pytest.approx(1600, rel=1e-5)
    assert sharpness.update(grey(np.full((8, 8), 0.3))) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_noise_is_estimated_within_a_tenth(sigma: float) -> None:
    noisy = with_grain(torch.full((1, 1, 128, 128), 0.5), sigma)[0].numpy()
    assert noise_sigma.update(noisy) == pytest.approx(sigma, rel=0.1)


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


def test_every_metric_of_the_catalogue_is_scored_and_within_its_range() -> None:
    frames = film(4, channels=3)
    summary = scoring.summarize(scoring.score(clip(with_grain(frames, 0.05)), clip(frames)))
    assert set(summary) == {spec.name for spec in METRICS.values() if spec.in_jobs and spec.compares != "previous"}
    for name, value in summary.items():
        high = METRICS[name].high
        assert high is not None
        assert METRICS[name].low <= value <= high


def test_a_still_has_no_reel_metrics() -> None:
    frames = film(1)
    summary = scoring.summarize(scoring.score(clip(frames), clip(frames)))
    assert set(summary) == {spec.name for spec in METRICS.values() if spec.in_jobs and spec.reduces == "picture"}


def test_values_of_segments_joined_equal_those_of_the_whole() -> None:
    source, restored = film(9), with_grain(film(9), 0.03)
    whole = scoring.score(clip(restored), clip(source))
    parts = [scoring.score(clip(restored[a:b], a), clip(source)) for a, b in ((0, 4), (4, 9))]
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)
    assert set(whole) == {"mean_luma", *(n for n, s in METRICS.items() if s.in_jobs and s.reduces == "picture")}


@pytest.mark.parametrize("larger", [1, 2])
def test_luma_made_once_for_all_gives_what_each_metric_gives_alone(larger: int) -> None:
    source = film(1, 20, 30, channels=3)
    restored = with_grain(source, 0.05).repeat_interleave(larger, 2).repeat_interleave(larger, 3)
    small = torch.nn.functional.avg_pool2d(restored, larger)
    got = scoring.score(clip(restored), clip(source))
    for metric, picture in ((luma_psnr, small), (luma_ssim, small), (sharpness, restored), (noise_sigma, restored)):
        name = metric.__name__.rsplit(".", 1)[1]
        shown = (picture, source) if METRICS[name].compares == "source" else (picture,)
        assert got[name][0] == pytest.approx(metric.update(*(each[0].numpy() for each in shown)), rel=1e-4)


def test_an_enlarged_picture_is_compared_at_the_sources_size() -> None:
    source = film(1, 20, 30)
    larger = source.repeat_interleave(2, 2).repeat_interleave(2, 3)
    values = scoring.score(clip(larger), clip(source))
    assert values["luma_psnr"][0] == 100


def test_a_coloured_result_is_compared_with_its_grey_source_by_luma() -> None:
    source = film(1)
    values = scoring.score(clip(source.expand(-1, 3, -1, -1)), clip(source))
    assert values["luma_psnr"][0] > 90
