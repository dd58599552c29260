"""Metrics of neighbouring frames, against sums done by hand."""

import numpy as np
import pytest

from tests.support.damage import film, with_grain
from workers.metrics import color_consistency, warp_error
from workers.tasks import scoring


def test_equal_pictures_do_not_differ_and_disjoint_ones_differ_by_log_two() -> None:
    dark, light = np.zeros((3, 8, 8), np.float32), np.ones((3, 8, 8), np.float32)
    seen = [color_consistency.observe(picture) for picture in (dark, dark.copy(), light)]
    assert color_consistency.update(seen[0], seen[1]) == 0
    assert color_consistency.update(seen[0], seen[2]) == pytest.approx(np.log(2))


def test_divergence_is_that_of_the_histograms() -> None:
    one = np.repeat(np.array([0, 0, 0, 255]) / 255, 3).reshape(4, 3).T.reshape(3, 2, 2).astype(np.float32)
    other = np.repeat(np.array([0, 255, 255, 255]) / 255, 3).reshape(4, 3).T.reshape(3, 2, 2).astype(np.float32)
    p, q = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    m = (p + q) / 2
    expected = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
    got = color_consistency.update(color_consistency.observe(one), color_consistency.observe(other))
    assert got == pytest.approx(float(expected))


def test_motion_alone_is_no_warp_error_and_flashes_are() -> None:
    pan = film(3, 96, 128, channels=3, pan_px=2.0).numpy()
    looks = [warp_error.observe(frame) for frame in pan]
    still = warp_error.update(looks[0], looks[1])
    # Ten per cent more red: what moves is followed, and the difference of colour is seen whole.
    tinted = pan[1] + np.array([0.1, 0, 0], np.float32)[:, None, None]
    assert warp_error.update(looks[0], warp_error.observe(tinted)) == pytest.approx(still + 0.01 / 3, rel=0.15)
    assert still < 5e-4


def test_a_film_is_summed_up_over_pairs_and_distances() -> None:
    frames = with_grain(film(6, 48, 64, channels=3), 0.02).numpy()
    pairs = scoring.NeighborScores()
    for frame in frames:
        pairs.add(frame)
    values = pairs.values()
    assert set(values) == {"color_consistency_1", "color_consistency_2", "color_consistency_4", "warp_error_1"}
    assert [int(np.isnan(series).sum()) for series in values.values()] == [1, 2, 4, 1]
    seen = [color_consistency.observe(frame) for frame in frames]
    by_hand = [np.mean([color_consistency.update(seen[n], seen[n + d]) for n in range(6 - d)]) for d in (1, 2, 4)]
    assert scoring.summarize(values)["color_consistency"] == pytest.approx(float(np.mean(by_hand)))


def test_no_pair_reaches_over_a_cut() -> None:
    frames = film(6, 48, 64, channels=3).numpy()
    frames[3:] = 1 - frames[3:]
    whole, cut = scoring.NeighborScores(), scoring.NeighborScores({0, 3})
    for frame in frames:
        whole.add(frame)
        cut.add(frame)
    assert np.isnan(cut.values()["warp_error_1"][3])
    means = [scoring.summarize(pairs.values())["warp_error"] for pairs in (cut, whole)]
    assert means[0] < means[1]


def test_a_single_frame_has_no_pairs() -> None:
    pairs = scoring.NeighborScores()
    pairs.add(film(1, channels=3)[0].numpy())
    assert scoring.summarize(pairs.values()) == {}
