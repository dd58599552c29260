"""Flicker goes, fades stay."""

import numpy as np
import pytest
import torch

from tests.support.damage import clip, faded, film, reel, step, with_flicker
from workers import stages
from workers.frames import STILL
from workers.stages import deflicker


def jumps(frames: torch.Tensor) -> float:
    mean = frames.mean((1, 2, 3)).double().numpy()
    return float(np.sqrt(np.mean((mean[2:] - 2 * mean[1:-1] + mean[:-2]) ** 2)))


def deflickered(frames: torch.Tensor, **params: object) -> torch.Tensor:
    return stages.apply(step("deflicker", **params), clip(frames), 0, len(frames), reel(frames, ((0, len(frames)),)))


def test_flicker_falls_to_near_the_clean_films_own() -> None:
    clean = film(24)
    damaged = with_flicker(clean)
    assert jumps(damaged) > 0.05
    assert jumps(deflickered(damaged)) < jumps(clean) + 0.005


def test_a_real_fade_survives() -> None:
    fade = faded(film(24), last=0.3)
    got = deflickered(with_flicker(fade, 0.05)).mean((1, 2, 3))
    assert float((got - fade.mean((1, 2, 3))).abs().max()) < 0.04
    untouched = deflickered(fade).mean((1, 2, 3))
    assert float((untouched - fade.mean((1, 2, 3))).abs().max()) < 0.005


def test_a_steady_film_is_hardly_touched() -> None:
    clean = film(12, pan_px=0)
    assert float((deflickered(clean) - clean).abs().max()) < 1e-3


def test_a_cut_between_light_and_dark_stays_as_sharp() -> None:
    both = torch.cat([film(10), film(10) * 0.3])
    got = stages.apply(step("deflicker"), clip(both), 0, 20, reel(both, ((0, 10), (10, 20))))
    assert float((got.mean((1, 2, 3)) - both.mean((1, 2, 3))).abs().max()) < 0.02


def test_the_ratio_between_channels_is_kept() -> None:
    damaged = with_flicker(film(12, channels=3), 0.05).clamp(0.05, 0.95)
    got = deflickered(damaged)
    ratio, before = got[:, 0] / got[:, 2], damaged[:, 0] / damaged[:, 2]
    torch.testing.assert_close(ratio, before, rtol=1e-3, atol=1e-3)


def test_order_of_brightness_is_never_turned() -> None:
    damaged = with_flicker(film(12), 0.1)
    got = deflickered(damaged)
    order = damaged[5].flatten().argsort()
    assert float(got[5].flatten()[order].diff().min()) > -1e-6


def test_a_still_and_a_reel_without_a_profile_come_back_as_they_are() -> None:
    frames = film(1)
    assert torch.equal(stages.apply(step("deflicker"), clip(frames), 0, 1, STILL), frames)


def test_samples_of_eight_bits_are_looked_up_to_the_same_bits() -> None:
    codes = np.random.default_rng(2).integers(20, 200, (6, 1, 37, 50)).astype(np.float32)
    codes[::2] *= 0.9
    frames = torch.from_numpy(np.rint(codes) / np.float32(255))
    others = frames.clone()
    others[..., -1, -1] += 1e-6  # one pixel, for which nothing can be looked up
    shots = ((0, 6),)
    looked_up, computed = (
        stages.apply(step("deflicker"), clip(each), 0, 6, reel(frames, shots)) for each in (frames, others)
    )
    assert torch.equal(looked_up[..., :-1, :], computed[..., :-1, :])
    assert not torch.equal(looked_up, frames)


def test_rows_of_a_picture_of_several_strips_come_out_as_they_do_alone() -> None:
    frames = with_flicker(torch.rand((3, 3, 151, 896), generator=torch.Generator().manual_seed(3)), 0.1)
    whole = reel(frames, ((0, 3),))
    got = stages.apply(step("deflicker"), clip(frames), 0, 3, whole)
    assert float((got - frames).abs().max()) > 1e-3
    for rows in (slice(0, 40), slice(60, 90), slice(130, 151)):
        assert torch.equal(got[:, :, rows], stages.apply(step("deflicker"), clip(frames[:, :, rows]), 0, 3, whole))


@pytest.mark.parametrize("count", [2, 3, 11])
def test_between_levels_a_tone_curve_is_what_numpy_interpolates(count: int) -> None:
    rng = np.random.default_rng(count)
    knots, levels = np.sort(rng.random(count)), np.sort(rng.random(count))
    values = np.concatenate([np.clip(rng.random(5000), knots[0], knots[-1]), knots]).reshape(-1, 1)
    np.testing.assert_allclose(
        deflicker._interpolate(values, knots, levels), np.interp(values, knots, levels), rtol=1e-14
    )
