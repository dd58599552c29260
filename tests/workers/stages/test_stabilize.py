"""Pictures that weave are held still, pans go on."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.damage import clip, film, reel, step, with_flicker, with_grain
from workers import stages
from workers.frames import STILL, Clip, Reel
from workers.ops import weave

WIDTH, HEIGHT = 200, 144
Track = NDArray[np.float64]


def landscape(seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    total = sum(cv2.GaussianBlur(rng.standard_normal((240, 600)), (0, 0), sigma) * sigma for sigma in (2, 6, 16))
    return np.asarray(0.15 + 0.7 * (total - total.min()) / np.ptp(total), np.float32)


def views(x: Track, y: Track | None = None, angle: Track | None = None, scene: int = 0) -> torch.Tensor:
    """A picture of the landscape for each place that it is seen from."""
    count, large = len(x), landscape(scene)
    y, angle = (np.zeros(count) if track is None else track for track in (y, angle))
    pictures = [weave.move(large[None], -dx, -dy, -da)[0] for dx, dy, da in zip(x, y, angle, strict=True)]
    top, left = (240 - HEIGHT) // 2, (600 - WIDTH) // 2
    return torch.from_numpy(np.stack(pictures))[:, None, top : top + HEIGHT, left : left + WIDTH].contiguous()


def context(frames: torch.Tensor, shots: tuple[tuple[int, int], ...] | None = None) -> Reel:
    return reel(frames, shots or ((0, len(frames)),), kinds=("motion",))


def stabilized(frames: torch.Tensor, **params: object) -> torch.Tensor:
    return stages.apply(step("stabilize", **params), clip(frames), 0, len(frames), context(frames))


def weave_px(count: int, seed: int = 0) -> tuple[Track, Track]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.7, count), rng.normal(0, 0.7, count)


def error(got: torch.Tensor, truth: torch.Tensor) -> float:
    inner = (slice(None), slice(None), slice(12, -12), slice(12, -12))
    return float((got - truth)[inner].square().mean().sqrt())


def test_weave_goes_and_a_still_camera_stays_still() -> None:
    x, y = weave_px(30)
    woven = with_flicker(with_grain(views(x, y), 0.02), 0.03)
    got = stabilized(woven)
    kept = context(got).profile["shift"][1:, :2] * WIDTH
    before = context(woven).profile["shift"][1:, :2] * WIDTH
    assert np.abs(kept).mean() < 0.15 * np.abs(before).mean()


def test_a_pan_is_kept_from_end_to_end_and_loses_its_weave() -> None:
    pan = np.clip(np.arange(50.0) - 15, 0, 20) * 3
    x, y = weave_px(50)
    truth, woven = views(pan), views(pan + x, y)
    got = stabilized(woven)
    assert error(got, truth) < 0.5 * error(woven, truth)
    shift = context(got).profile["shift"][1:, 0].sum() * WIDTH
    assert shift == pytest.approx(-60, abs=1.5)


def test_a_turn_is_undone() -> None:
    angles = np.random.default_rng(1).normal(0, 3e-3, 24)
    got = stabilized(views(np.zeros(24), angle=angles))
    assert np.abs(context(got).profile["shift"][:, 2]).mean() < 4e-4


@pytest.mark.parametrize("pan_px", [0.0, 2.0])
def test_a_steady_film_is_hardly_moved(pan_px: float) -> None:
    frames = views(np.arange(24) * pan_px)
    got = stabilized(frames)
    assert error(got, frames) < 0.01
    if not pan_px:
        assert torch.equal(got, frames)


def test_no_frame_moves_further_than_allowed() -> None:
    x, y = weave_px(20)
    woven = views(x * 6, y * 6)
    assert torch.equal(stabilized(woven, max_shift=0, max_angle=0), woven)
    got = stabilized(woven, max_shift=0.005)
    moved = context(torch.stack([woven[3], got[3]])).profile["shift"][1, :2] * WIDTH
    assert np.abs(moved).max() < 1.2


def test_each_shot_has_a_path_of_its_own() -> None:
    x, y = weave_px(16)
    both = torch.cat([views(x, y), views(x, y, scene=4)])
    whole = context(both, ((0, 16), (16, 32)))
    got = stages.apply(step("stabilize"), clip(both), 0, 32, whole)
    alone = stages.apply(step("stabilize"), clip(both[:16].clone()), 0, 16, context(both[:16]))
    assert torch.equal(got[:16], alone)


def test_where_the_motion_is_not_known_a_shot_stays_as_it_is() -> None:
    frames = torch.cat([views(np.zeros(1), scene=number) for number in range(8)])
    assert torch.equal(stabilized(frames), frames)


def test_a_stand_in_is_put_where_the_missing_frame_belongs() -> None:
    x, y = weave_px(20)
    woven = views(x, y)
    whole = context(woven)
    shown = Clip(torch.cat([woven[:8], woven[7:8], woven[9:]]), 0, (*range(8), 7, *range(9, 20)))
    got = stages.apply(step("stabilize"), shown, 0, 20, whole)
    assert error(got[8:9], got[7:8]) < 0.01


def in_a_gate(picture: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """The picture behind a dark gate; both weave together against the scan."""
    framed = torch.full_like(picture, 0.03)
    framed[..., 12:-12, 14:-14] = picture[..., 12:-12, 14:-14].clamp(0.25, 1)
    return torch.from_numpy(weave.move(framed[0, 0].numpy()[None], x, y, 0))[None]


def test_by_the_gate_weave_goes_while_the_camera_may_move() -> None:
    x, y = weave_px(24)
    sway = 5 * np.sin(np.arange(24) / 4)
    steady = torch.cat([in_a_gate(picture[None], 0, 0) for picture in views(sway)])
    woven = torch.cat([in_a_gate(picture[None], *at) for picture, *at in zip(views(sway), x, y, strict=True)])
    by_gate, by_picture = (stabilized(woven, reference=name) for name in ("gate", "picture"))
    assert error(by_gate, steady) < 0.6 * error(woven, steady)
    assert error(by_gate, steady) < error(by_picture, steady)


def test_where_no_gate_is_seen_the_picture_is_held() -> None:
    x, y = weave_px(12)
    woven = views(x, y)
    assert torch.equal(stabilized(woven, reference="gate"), stabilized(woven))


def test_neighbours_fill_the_rim_with_what_is_there() -> None:
    x, y = weave_px(40)
    woven = views(2 * x, 2 * y)
    drawn, filled = (stabilized(woven, max_shift=0.05, border=border) for border in ("replicate", "neighbours"))
    usual = filled.median(0).values.expand_as(filled)
    rim = drawn != filled
    assert 0 < rim.float().mean() < 0.1
    assert (filled - usual)[rim].abs().mean() < 0.6 * (drawn - usual)[rim].abs().mean()


def test_with_neighbours_bits_do_not_depend_on_the_window() -> None:
    x, y = weave_px(16)
    woven = views(3 * x, 3 * y)
    chosen, whole = step("stabilize", border="neighbours"), context(woven)
    radius = stages.temporal_radius(chosen)
    assert (radius, stages.temporal_radius(step("stabilize"))) == (4, 0)
    expected = stages.apply(chosen, clip(woven), 0, 16, whole)
    for start, stop in ((0, 1), (5, 9), (15, 16)):
        low, high = max(0, start - radius), min(16, stop + radius)
        got = stages.apply(chosen, clip(woven[low:high].clone(), low), start, stop, whole)
        assert torch.equal(got, expected[start:stop])


def test_a_still_and_a_reel_of_which_nothing_is_known_come_back_as_they_are() -> None:
    frames = film(4)
    assert torch.equal(stages.apply(step("stabilize"), clip(frames[:1]), 0, 1, STILL), frames[:1])
    unknown = Reel(4, Fraction(18), ((0, 4),))
    assert torch.equal(stages.apply(step("stabilize"), clip(frames), 0, 4, unknown), frames)
