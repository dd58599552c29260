"""Deformable convolution: plain where nothing is shifted, moved where all is, and never out of the picture."""

import pytest
import torch
from torch.nn import functional

from workers.models.parts.deformable import DeformableConv


def conv(shift: float = 0.0) -> DeformableConv:
    """One whose every tap is shifted by the same, right and down, and weighed by a half."""
    torch.manual_seed(0)
    made = DeformableConv(4)
    with torch.no_grad():
        made.conv_offset.weight.zero_()
        made.conv_offset.bias.zero_()
        made.conv_offset.bias[:18] = shift
    return made


def shown(made: DeformableConv, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = made(x, torch.zeros_like(x))
    return out


def test_without_shifts_it_is_half_a_convolution() -> None:
    made, x = conv(), torch.rand(2, 4, 9, 11)
    expected = functional.conv2d(x, made.weight, padding=1) / 2 + made.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(shown(made, x), expected, rtol=1e-5, atol=1e-5)


def test_whole_shifts_fetch_from_there() -> None:
    x = torch.rand(1, 4, 12, 12)
    moved, plain = shown(conv(2.0), x), shown(conv(), x)
    torch.testing.assert_close(moved[..., 1:8, 1:8], plain[..., 3:10, 3:10], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wild", [1e4, -1e9, 1e30, float("inf"), float("-inf"), float("nan")])
def test_weights_that_blow_up_read_nothing_outside_of_the_picture(wild: float) -> None:
    made = conv(wild)
    out = shown(made, torch.rand(1, 4, 16, 16))
    assert torch.isfinite(out).all()
