"""Larger, centred, without ringing."""

import pytest
import torch
from torch.nn import functional

from tests.support.damage import clip, psnr_db, step
from workers import stages
from workers.frames import STILL


def enlarged(picture: torch.Tensor, scale: int) -> torch.Tensor:
    return stages.apply(step("upscale", scale=scale), clip(picture), 0, 1, STILL)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_picture_stays_where_it_was(scale: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    slope = (0.2 + 0.005 * rows + 0.004 * columns).view(1, 1, 40, 60)
    got = enlarged(slope, scale)[0, 0]
    row = (torch.arange(40 * scale) + 0.5) / scale - 0.5
    column = (torch.arange(60 * scale) + 0.5) / scale - 0.5
    expected = 0.2 + 0.005 * row[:, None] + 0.004 * column[None]
    inner = slice(5 * scale, -5 * scale)
    torch.testing.assert_close(got[inner, inner], expected[inner, inner], rtol=0, atol=2e-3)


def test_edges_do_not_ring() -> None:
    edge = torch.zeros(1, 1, 24, 32)
    edge[..., 16:] = 1
    got = enlarged(edge, 4)
    assert float(got.min()) >= 0
    assert float(got.max()) <= 1


def test_it_beats_repeated_pixels() -> None:
    # A diagonal texture; edges on the pixel grid would favour repetition.
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(192.0), indexing="ij")
    large = (0.5 + 0.3 * torch.sin((rows + 0.7 * columns) / 3)).view(1, 1, 128, 192)
    small = functional.avg_pool2d(large, 2)
    assert (
        psnr_db(enlarged(small, 2), large) > psnr_db(small.repeat_interleave(2, 2).repeat_interleave(2, 3), large) + 1
    )
