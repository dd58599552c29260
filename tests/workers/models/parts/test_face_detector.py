"""Faces found, and what is none."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from db.errors import WorkError
from tests.support.damage import film
from workers.models.parts import face_detector
from workers.ops import planes
from workers.ops.planes import Planes

PHOTOS = Path(__file__).parents[4] / "examples" / "demo" / "photos"


def photo(name: str) -> Planes:
    levels = cv2.imread(str(PHOTOS / name))
    assert levels is not None
    return planes.from_levels(levels[..., ::-1].astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "box"),
    [("london-boy-1945.jpg", (320, 148, 98, 115)), ("migrant-mother-1936.jpg", (218, 140, 144, 192))],
)
def test_a_portrait_has_one_face_where_it_is(name: str, box: tuple[int, ...]) -> None:
    (face,) = face_detector.find_faces(photo(name))
    assert np.abs(np.array([face.left, face.top, face.width, face.height]) - box).max() < 20
    left_eye, right_eye, nose, *mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert all(corner[1] > nose[1] for corner in mouth)


def test_places_follow_the_picture_and_not_the_size_at_which_it_is_searched() -> None:
    (face,) = face_detector.find_faces(photo("migrant-mother-1936.jpg"))
    large = np.stack([cv2.resize(plane, None, fx=2, fy=2) for plane in photo("migrant-mother-1936.jpg")])
    (twice,) = face_detector.find_faces(large)
    np.testing.assert_allclose(twice.points, 2 * face.points, atol=8)
    assert face_detector.find_faces(large, twice.side_px + 1) == []


def test_where_there_is_no_face_none_is_found() -> None:
    assert face_detector.find_faces(photo("saratoga-broadway-1900s.jpg")) == []
    assert face_detector.find_faces(planes.from_frame(film(1, 240, 320)[0])) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (40, 2000), (60, 60)])
@pytest.mark.parametrize("value", [0.0, 1.3, -0.2])
def test_any_size_and_value_is_searched(size: tuple[int, int], value: float) -> None:
    assert face_detector.find_faces(np.full((1, *size), value, np.float32)) == []


def test_grey_finds_what_three_equal_channels_find() -> None:
    grey = planes.luma(photo("london-boy-1945.jpg"))[None]
    (one,), (three,) = face_detector.find_faces(grey), face_detector.find_faces(planes.to_rgb(grey))
    np.testing.assert_array_equal(one.points, three.points)


def test_another_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "yunet.onnx"
    shutil.copy(PHOTOS / "london-boy-1945.jpg", other)
    monkeypatch.setattr(face_detector, "_FILE", other)
    face_detector._detector.cache_clear()
    with pytest.raises(WorkError, match=r"yunet\.onnx") as caught:
        face_detector.find_faces(photo("london-boy-1945.jpg"))
    assert caught.value.code == "NO_MODULE"
