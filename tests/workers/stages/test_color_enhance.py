"""Contrast and colour rise, casts go, nothing pumps."""

import numpy as np
import torch

from tests.support.damage import clip, film, psnr_db, reel, step, with_grain
from workers import stages
from workers.frames import STILL


def enhanced(frames: torch.Tensor, **params: object) -> torch.Tensor:
    return stages.apply(step("color_enhance", **params), clip(frames[:1]), 0, 1, STILL)


def test_a_flat_photo_gains_contrast_within_range() -> None:
    flat = 0.4 + 0.2 * film(1, channels=3)
    got = enhanced(flat, white_balance=0)
    assert float(got.std()) > 1.2 * float(flat.std())
    assert float(got.min()) >= -1e-5
    assert float(got.max()) <= 1 + 1e-5


def test_neutral_parameters_leave_the_picture_alone() -> None:
    picture = film(1, channels=3)
    assert psnr_db(enhanced(picture, contrast=0, saturation=1, white_balance=0), picture) > 100


def test_a_cast_is_taken_out_as_far_as_asked() -> None:
    cast = film(1).expand(-1, 3, -1, -1) * torch.tensor([1.1, 1.0, 0.8]).view(1, 3, 1, 1)

    def left(amount: float) -> float:
        got = enhanced(cast, contrast=0, saturation=1, white_balance=amount)
        return float(got.mean((0, 2, 3)).max() - got.mean((0, 2, 3)).min())

    assert left(1.0) < 0.01 < left(0.5) < left(0.0)


def test_saturation_scales_colour_and_keeps_luma() -> None:
    picture = 0.3 + 0.4 * film(1, channels=3)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    got = enhanced(picture, contrast=0, white_balance=0, saturation=1.2)
    luma = (picture * weights).sum(1, keepdim=True)
    torch.testing.assert_close((got * weights).sum(1, keepdim=True), luma, rtol=0, atol=1e-5)
    torch.testing.assert_close(got - luma, 1.2 * (picture - luma), rtol=0, atol=1e-5)
    grey = enhanced(picture, contrast=0, white_balance=0, saturation=0)
    assert float((grey.amax(1) - grey.amin(1)).max()) < 1e-6


def test_balance_of_a_reel_is_one_for_the_whole_shot() -> None:
    frames = film(6, channels=3)
    frames[3, 0] *= 1.3  # one frame with more red than its neighbours must not be balanced by itself
    got = stages.apply(step("color_enhance", contrast=0, saturation=1), clip(frames), 0, 6, reel(frames, ((0, 6),)))
    before, after = (f[:, 0].mean((1, 2)) / f[:, 2].mean((1, 2)) for f in (frames, got))
    share = (after / before).numpy()
    assert np.ptp(share) < 0.02


def test_local_contrast_does_not_pump_on_a_reel() -> None:
    frames = with_grain(film(12, pan_px=2.5), 0.03)
    got = stages.apply(step("color_enhance"), clip(frames), 0, 12, reel(frames, ((0, 12),)))

    def jumps(f: torch.Tensor) -> float:
        return float(f.mean((1, 2, 3)).double().diff(n=2).square().mean().sqrt())

    assert jumps(got) < 1.5 * jumps(frames) + 0.001


def test_tiles_leave_no_edges() -> None:
    ramp = torch.linspace(0.2, 0.8, 256).view(1, 1, 1, 256).expand(-1, -1, 128, -1).contiguous()
    got = enhanced(ramp)[0, 0, 64]
    assert float(got.diff().abs().max()) < 4 * float(ramp[0, 0, 64].diff().max())
