"""What jobs take of their frames: every metric within its range, segments joined, neighbours within shots."""

import numpy as np
import pytest
import torch

from db.catalog.metrics import METRICS
from tests.support.damage import clip, film, with_grain
from workers.metrics import color_consistency, luma_psnr, luma_ssim, noise_sigma, sharpness
from workers.tasks import scoring


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


def test_a_metric_that_a_picture_is_too_small_for_or_too_wild_is_named() -> None:
    values = {"luma_ssim": np.array([np.nan, 0.5]), "luma_psnr": np.array([np.inf, np.nan]), "sharpness": np.ones(2)}
    assert list(scoring.notes(values, scoring.summarize(values))) == [
        "luma_psnr was left out: of 2 frames it is no number."
    ]


def test_no_value_of_far_clip_makes_a_score_that_is_no_number() -> None:
    wild = torch.full((1, 3, 32, 32), 1e30)
    wild[..., ::2] = -1e30
    values = scoring.score(clip(wild), clip(wild))
    scores = scoring.summarize(values)
    assert all(np.isfinite(value) for value in scores.values())
    left_out = {spec for spec in values if not np.isfinite(values[spec]).all()}
    assert left_out == {note.partition(" ")[0] for note in scoring.notes(values, scores)}


@pytest.mark.parametrize(("channels", "larger"), [(1, 1), (3, 1), (3, 2), (1, 1.5)])
def test_tensors_are_scored_as_pictures_are(channels: int, larger: float) -> None:
    source = film(1, 30, 44, channels=channels)
    changed = with_grain(source, 0.05)
    changed[..., :20, :] = source[..., :20, :]
    size = (round(30 * larger), round(44 * larger))
    restored = torch.nn.functional.interpolate(changed, size=size, mode="nearest") if larger > 1 else changed
    expected = scoring.score_frame(restored[0].numpy(), source[0].numpy())
    (found,) = scoring.score_on_device(restored, source)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name


def test_tensors_that_did_not_change_have_the_full_score() -> None:
    source = film(1, 30, 44)
    (found,) = scoring.score_on_device(source.clone(), source)
    assert (found["luma_psnr"], found["luma_ssim"]) == (100, 1)


def test_a_metric_that_knows_no_tensors_is_given_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    source, restored = film(2, 30, 44), with_grain(film(2, 30, 44), 0.05)
    expected = scoring.score_on_device(restored, source)
    monkeypatch.delattr(sharpness, "device_row_values")
    monkeypatch.delattr(luma_psnr, "device_row_values")
    for found, values in zip(scoring.score_on_device(restored, source), expected, strict=True):
        assert found == pytest.approx(values, rel=1e-5)


def test_a_metric_that_knows_no_tensors_may_meet_values_beyond_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    source, wild = film(1, 30, 44), torch.full((1, 1, 30, 44), 1e30)
    monkeypatch.delattr(luma_psnr, "device_row_values")
    expected = scoring.score_frame(wild[0].numpy(), source[0].numpy())
    assert scoring.score_on_device(wild, source) == [pytest.approx(expected, rel=1e-5, nan_ok=True)]
