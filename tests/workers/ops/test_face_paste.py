"""Faces made clearer, and put back."""

import cv2
import numpy as np

from workers.ops import face_paste


def scene() -> np.ndarray:
    """Areas with sharp edges."""
    plane = np.full((160, 160), 0.3, np.float32)
    for left, top, right, down, level in np.random.default_rng(0).random((30, 5)):
        rows, columns = sorted((int(160 * top), int(160 * down))), sorted((int(160 * left), int(160 * right)))
        plane[slice(*rows), slice(*columns)] = 0.15 + 0.7 * level
    return plane


def blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def test_blur_is_taken_back() -> None:
    sharp = scene()
    soft = blur(sharp, 1.4)
    clear = face_paste.clear_up(soft, 120, 0)
    assert clear is not None
    inner = (slice(10, -10), slice(10, -10))
    assert np.abs(clear - sharp)[inner].mean() < np.abs(soft - sharp)[inner].mean() * 0.8


def test_what_is_sharp_stays() -> None:
    assert face_paste.clear_up(scene(), 120, 1) is None
    assert face_paste.clear_up(np.full((80, 80), 0.5, np.float32), 60, 1) is None


def test_tone_is_held() -> None:
    soft = blur(scene(), 1.4)
    clear = face_paste.clear_up(soft, 120, 1)
    assert clear is not None
    assert np.abs(blur(clear - soft, 15)).max() < 0.015
    shifted = face_paste.hold_tone(soft + np.float32(0.1), soft, 120)
    np.testing.assert_allclose(shifted, soft, atol=1e-5)


def test_an_ellipse_is_whole_in_the_middle_and_nothing_at_its_edge() -> None:
    soft = face_paste.soft_ellipse((100, 120), (60, 50), (40, 30), 0, 4)
    assert soft[50, 60] > 0.9999
    assert soft[50, 20] < 0.1
    assert soft[50, 14] == soft[10, 60] == soft[0, 0] == 0
    assert np.abs(np.diff(soft, axis=0)).max() < 0.12
    assert (np.diff(soft[50, 60:]) <= 0).all()


def test_an_ellipse_turns() -> None:
    soft = face_paste.soft_ellipse((120, 120), (60, 60), (50, 20), 90, 3)
    assert soft[95, 60] > 0.9
    assert soft[60, 95] == 0
