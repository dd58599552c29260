"""Scores are the same bits in whatever strips a picture comes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.damage import clip, film, with_grain
from workers.metrics import luma_ssim
from workers.tasks import scoring


def in_strips(restored: np.ndarray, source: np.ndarray, heights: list[int]) -> dict[str, float]:
    scores = scoring.StillScores(restored.shape[1:])
    top = 0
    while top < restored.shape[1]:
        for height in heights:
            scores.add(restored[:, top : top + height], source[:, top : top + height])
            top += height
            if top >= restored.shape[1]:
                break
    return {name: float(values[0]) for name, values in scores.values().items()}


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.integers(1, 70),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.integers(0, 70),
)
@settings(max_examples=60, deadline=None)
def test_any_strips_give_the_scores_of_the_whole(
    heights: list[int], rows: int, columns: int, channels: int, changed_to: int
) -> None:
    source = torch.rand((1, channels, rows, columns), generator=torch.Generator().manual_seed(rows))
    restored = source.clone()
    restored[..., :changed_to, :] = with_grain(source, 0.05)[..., :changed_to, :]
    whole = {name: float(values[0]) for name, values in scoring.score(clip(restored), clip(source)).items()}
    assert in_strips(restored[0].numpy(), source[0].numpy(), heights) == whole


def test_what_did_not_change_is_exactly_alike() -> None:
    source = film(1, 40, 50, channels=3)
    values = scoring.score(clip(source.clone()), clip(source))
    assert (values["luma_ssim"][0], values["luma_psnr"][0]) == (1, 100)


def test_one_changed_row_counts_in_the_windows_that_hold_it() -> None:
    source = film(1, 60, 50)
    restored = source.clone()
    restored[..., 30, :] += 0.1
    values = luma_ssim.row_values(restored[0].numpy(), source[0].numpy(), size=(60, 50))[:, 0]
    assert np.flatnonzero(values != 40).tolist() == list(range(25, 36))


@pytest.mark.parametrize("rows", [1, 2, 10, 11])
def test_pictures_smaller_than_a_window_have_scores_too(rows: int) -> None:
    source = film(1, rows, 30)
    values = scoring.score(clip(with_grain(source, 0.1)), clip(source))
    assert -1 <= values["luma_ssim"][0] < 1
