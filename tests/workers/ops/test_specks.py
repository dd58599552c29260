"""Specks are told from what moves."""

import numpy as np
import pytest

from workers.ops import evidence, specks


def seen(seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """A plane of grain and four neighbours of it."""
    rng = np.random.default_rng(seed)
    planes = [(0.5 + 0.02 * rng.standard_normal((64, 80))).astype(np.float32) for _ in range(5)]
    return planes[0], planes[1:]


def find(plane: np.ndarray, others: list[np.ndarray], **limits: object) -> np.ndarray:
    return specks.find(plane, evidence.weigh(plane, others), specks.Limits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [0.3, -0.3])
def test_a_speck_is_found_to_the_pixel_but_for_a_few(change: float) -> None:
    plane, others = seen()
    plane[20:25, 30:36] += change
    found = find(plane, others)
    assert found[20:25, 30:36].mean() > 0.9
    assert found.sum() < 36


def test_grain_alone_is_no_speck() -> None:
    assert not find(*seen(1)).any()


def test_what_goes_on_beside_it_in_the_frame_is_uncovered_picture() -> None:
    plane, others = seen()
    # A dark thing has moved away over half a bright wall that was visible beside it all along.
    plane[:, 30:60] += 0.3
    for other in others:
        other[:, 44:60] += 0.3
    assert not find(plane, others).any()


def test_faint_large_and_other_specks_are_left_where_limits_say_so() -> None:
    plane, others = seen()
    plane[20:28, 30:38] += 0.3
    assert find(plane, others).any()
    assert not find(plane, others, least_contrast=0.4).any()
    assert not find(plane, others, largest_px=20).any()
    assert not find(plane, others, signs=(-1,)).any()


def test_a_ring_lies_around_and_not_inside() -> None:
    inside = np.zeros((9, 9), np.bool_)
    inside[4, 4] = True
    ring = specks.ring(inside, 2)
    assert not ring[4, 4]
    assert ring[4, 2]
    assert not ring[4, 1]


def test_an_upright_line_is_left_to_those_who_look_for_scratches() -> None:
    plane, others = seen()
    plane[10:50, 20:22] += 0.3
    plane[10:12, 30:70] += 0.3
    found = find(plane, others)
    assert not found[:, 16:26].any()
    assert found[10:12, 30:70].mean() > 0.9
