"""Lab against hand-known colours and against OpenCV's own arithmetic."""

import cv2
import numpy as np
import pytest
import torch

from workers.ops import lab


def colours(count: int = 4096, seed: int = 0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).random((1, 3, 64, count // 64), np.float32)
    return torch.from_numpy(drawn)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_corners_of_the_cube_are_where_the_books_put_them(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    got = lab.rgb_to_lab(torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=0.03)


def test_it_agrees_with_opencv_to_what_their_white_points_differ_by() -> None:
    rgb = colours()
    expected = cv2.cvtColor(np.ascontiguousarray(rgb[0].permute(1, 2, 0).numpy()), cv2.COLOR_RGB2LAB)
    got = lab.rgb_to_lab(rgb)[0].permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() < 0.6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_is_where_it_began(dtype: torch.dtype) -> None:
    rgb = colours().to(dtype)
    assert lab.lab_to_rgb(lab.rgb_to_lab(rgb)).dtype is dtype
    torch.testing.assert_close(lab.lab_to_rgb(lab.rgb_to_lab(rgb)), rgb, rtol=0, atol=2e-5)
    whole = lab.rgb_to_lab(rgb)
    torch.testing.assert_close(lab.clip_to_gamut(whole[:, :1], whole[:, 1:]), rgb, rtol=0, atol=2e-4)


def test_no_colour_gives_equal_channels_within_rounding_at_any_lightness() -> None:
    light = torch.linspace(-5, 110, 64).view(1, 1, 8, 8)
    rgb = lab.clip_to_gamut(light, torch.zeros(1, 2, 8, 8))
    assert float((rgb - rgb[:, :1]).abs().max()) < 2e-4


def test_chroma_of_another_size_joins_lightness_at_its_own() -> None:
    light = torch.full((1, 1, 40, 64), 60.0)
    for size in ((8, 8), (256, 256)):
        got = lab.rgb_to_lab(lab.merge_chroma(light, torch.full((1, 2, *size), 10.0)))
        torch.testing.assert_close(got[:, 1:], torch.full((1, 2, 40, 64), 10.0), rtol=0, atol=0.02)
