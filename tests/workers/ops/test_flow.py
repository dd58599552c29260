"""Motion is found, and undone."""

import numpy as np
import pytest

from tests.support.damage import film, psnr_db
from workers.ops import flow


def test_a_pan_is_measured_in_pixels() -> None:
    frames = film(2, 96, 128, pan_px=2.0)[:, 0].numpy()
    offsets = flow.motion(flow.to_code(frames[0]), flow.to_code(frames[1]))
    inner = offsets[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-2.0, abs=0.2)
    assert np.median(inner[..., 1]) == pytest.approx(0.0, abs=0.2)


def test_a_neighbour_lands_on_the_frame() -> None:
    import torch

    frames = film(2, 96, 128, channels=3, pan_px=2.5)
    luma = frames.mean(1).numpy()
    moved = flow.warp(frames[1].numpy(), flow.motion(flow.to_code(luma[0]), flow.to_code(luma[1])))
    inner = (slice(None), slice(8, -8), slice(8, -8))
    got = psnr_db(torch.from_numpy(moved)[inner], frames[0][inner])
    assert got > psnr_db(frames[1][inner], frames[0][inner]) + 6


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (20, 200), (47, 48)])
def test_small_pictures_have_motion_of_their_own_size(size: tuple[int, int]) -> None:
    frames = film(2, *size)[:, 0].numpy()
    assert flow.motion(flow.to_code(frames[0]), flow.to_code(frames[1])).shape == (*size, 2)
