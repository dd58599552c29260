"""Holes, their parts and their surroundings."""

import cv2
import numpy as np
import pytest

from workers.ops import holes


def empty(height: int = 60, width: int = 80) -> np.ndarray:
    return np.zeros((height, width), np.bool_)


def test_a_thin_branch_of_a_thick_part_is_thin() -> None:
    hole = empty()
    hole[20:40, 20:40] = True
    hole[28:31, 40:75] = True
    thick = holes.thick_parts(hole, 4)
    assert thick[20:40, 20:40].all()
    assert not thick[:, 46:].any()
    assert not holes.thick_parts(hole & ~thick, 4)[:, 46:].any()


@pytest.mark.parametrize(("width", "thick"), [(1, False), (4, False), (6, True), (9, True)])
def test_lines_are_thick_from_five_pixels_on(width: int, thick: bool) -> None:
    hole = empty()
    hole[10 : 10 + width] = True
    assert holes.thick_parts(hole, 4).any() == thick


def test_parts_lie_in_boxes_of_their_own() -> None:
    hole = empty()
    hole[3:6, 4:9] = hole[50:60, 70:80] = True
    again = empty()
    boxes = list(holes.parts(hole, margin=2))
    for place, part in boxes:
        again[place] |= part
    np.testing.assert_array_equal(again, hole)
    assert boxes[0][0] == (slice(1, 8), slice(2, 11))
    assert boxes[1][0] == (slice(48, 60), slice(68, 80))


def test_diffusion_goes_on_with_a_ramp_and_changes_nothing_outside() -> None:
    picture = np.stack([np.linspace(-0.2, 1.3, 80, dtype=np.float32) + np.zeros((60, 1), np.float32)] * 3)
    hole = empty()
    hole[20:24, 10:70] = True
    out = holes.diffuse(np.where(hole, np.float32(0), picture), hole)
    np.testing.assert_array_equal(out[:, ~hole], picture[:, ~hole])
    assert np.abs(out - picture)[:, hole].max() < 0.03
    np.testing.assert_array_equal(out[0], out[1])


def test_a_ring_lies_around_a_hole() -> None:
    hole = empty()
    hole[20:30, 20:30] = True
    ring = holes.ring(hole, 2)
    assert not (ring & hole).any()
    assert ring[18:20, 22:28].all()
    assert not ring[:17].any()


def test_exposure_is_carried_into_a_hole() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.random((60, 80)).astype(np.float32), (0, 0), 2)[None]
    hole = empty()
    hole[20:40, 30:50] = True
    matched = holes.match_exposure(picture - np.float32(0.06), np.where(hole, np.float32(9), picture), hole)
    np.testing.assert_allclose(matched, picture, atol=1e-3)


def test_holes_far_from_one_another_are_filled_each_by_itself() -> None:
    picture = np.random.default_rng(0).random((1, 60, 400)).astype(np.float32)
    one, other = empty(60, 400), empty(60, 400)
    one[20:34, 20:34] = True
    other[20:34, 350:364] = True
    both = holes.fill_with_patches(picture, one | other, 7)
    np.testing.assert_array_equal(both[:, one], holes.fill_with_patches(picture, one, 7)[:, one])
    np.testing.assert_array_equal(both[:, other], holes.fill_with_patches(picture, other, 7)[:, other])
    assert not np.array_equal(both, holes.fill_with_patches(picture, one | other, 8))
