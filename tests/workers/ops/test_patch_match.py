"""Patches that fill holes."""

import numpy as np

from workers.ops import patch_match


def stripes(height: int = 72, width: int = 96, channels: int = 1) -> np.ndarray:
    columns = np.arange(width) + np.zeros((height, 1))
    return np.stack([0.5 + 0.4 * np.sign(np.sin(columns * 2 * np.pi / 8 + c)) for c in range(channels)]).astype("f4")


def hole_in(picture: np.ndarray, top: int = 20, left: int = 30, side: int = 24) -> np.ndarray:
    hole = np.zeros(picture.shape[1:], np.bool_)
    hole[top : top + side, left : left + side] = True
    return hole


def filled(picture: np.ndarray, hole: np.ndarray, barred: np.ndarray | None = None, seed: int = 1) -> np.ndarray:
    shown = np.where(hole, np.float32(0.5), picture)
    out = patch_match.fill(shown, hole, np.zeros_like(hole) if barred is None else barred, np.random.default_rng(seed))
    assert out is not None
    return out


def test_stripes_go_on_through_a_hole() -> None:
    picture = stripes(channels=3)
    hole = hole_in(picture)
    out = filled(picture, hole)
    assert np.abs(out - picture)[:, hole].mean() < 0.03
    np.testing.assert_array_equal(out[:, ~hole], picture[:, ~hole])


def test_the_same_chances_give_the_same_bits_and_the_input_is_left_as_it_was() -> None:
    picture = stripes() + np.random.default_rng(0).normal(0, 0.05, (1, 72, 96)).astype("f4")
    hole, before = hole_in(picture), picture.copy()
    np.testing.assert_array_equal(filled(picture, hole), filled(picture, hole))
    np.testing.assert_array_equal(picture, before)


def test_nothing_is_copied_from_what_is_barred() -> None:
    picture = stripes()
    picture[:, :, 64:] = 9.0
    hole = hole_in(picture, left=36)
    out = filled(picture, hole, np.broadcast_to(np.arange(96) >= 62, (72, 96)))
    assert out[:, hole].max() < 1


def test_pixels_of_a_hole_are_colors_of_the_picture() -> None:
    picture = stripes()
    hole = hole_in(picture)
    out = filled(picture, hole)
    assert np.isin(out[:, hole], picture).all()


def test_a_hole_at_the_edge_is_filled() -> None:
    picture = stripes()
    hole = hole_in(picture, top=0, left=0)
    assert np.abs(filled(picture, hole) - picture)[:, hole].mean() < 0.1


def test_without_a_whole_patch_outside_nothing_is_given() -> None:
    picture = stripes(9, 9)
    hole = hole_in(picture, 3, 3, 3)
    assert patch_match.fill(picture, hole, np.zeros_like(hole), np.random.default_rng(0)) is None


def test_thickness_is_that_of_the_thickest_part() -> None:
    hole = np.zeros((40, 60), np.bool_)
    hole[5:8] = True
    assert 3 <= patch_match.thickness_px(hole) <= 4
    hole[10:30, 10:30] = True
    assert 19 <= patch_match.thickness_px(hole) <= 21
