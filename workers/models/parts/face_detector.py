"""Where faces are: YuNet, which comes with Reelwright (Wu, Peng, Yu 2023).

The file is read by OpenCV, so it is no card that a recipe could name. Faces are places only; nobody is recognized.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from db.catalog.shipped import FOLDER
from db.errors import WorkError
from workers.ops import planes
from workers.ops.planes import Planes

_FILE = FOLDER / "yunet.onnx"
_SHA256 = "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"
_SIDE_PX = 640
"""Long side of the picture that is searched: larger ones lose large faces, smaller ones small faces."""
_MOST_ENLARGED = 3.0
_LEAST_SCORE, _OVERLAP, _MOST_FACES = 0.7, 0.3, 200


@dataclass(frozen=True)
class Face:
    """A face in a picture; all in pixels of the picture."""

    left: float
    top: float
    width: float
    height: float
    points: NDArray[np.float32]
    """``(5, 2)``, x and y of both eyes, the nose and both corners of the mouth, left ones of the picture first."""
    score: float

    @property
    def side_px(self) -> float:
        """Side of a square as large as the face's box."""
        return math.sqrt(self.width * self.height)


def find_faces(picture: Planes, least_px: float = 40.0) -> list[Face]:
    """Return the faces of a picture ``(C, H, W)``, from the left; those smaller than ``least_px`` are left out.

    Raises:
        WorkError: ``NO_MODULE`` when the detector's file is missing or is another one.
    """
    height, width = picture.shape[1:]
    scale = min(_SIDE_PX / max(height, width), _MOST_ENLARGED)
    size = (round(width * scale), round(height * scale))
    if min(height, width) < least_px or min(size) < 16:
        return []
    levels = planes.to_levels(planes.to_rgb(picture))[..., ::-1]
    shrunk = cv2.resize(levels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    detector = _detector()
    detector.setInputSize(size)
    rows = detector.detect(shrunk)[1]
    if rows is None:
        return []
    across, down = width / size[0], height / size[1]
    faces = [_face(row, across, down) for row in np.asarray(rows, np.float32)]
    return sorted((face for face in faces if face.side_px >= least_px), key=lambda face: (face.left, face.top))


def _face(row: NDArray[np.float32], across: float, down: float) -> Face:
    left, top, width, height = (float(value) for value in row[:4])
    # The file's order begins with the eye that is left in the picture.
    points = row[4:14].reshape(5, 2) * np.array([across, down], np.float32)
    return Face(left * across, top * down, width * across, height * down, points, float(row[14]))


@cache
def _detector() -> cv2.FaceDetectorYN:
    if not _FILE.is_file() or hashlib.sha256(_FILE.read_bytes()).hexdigest() != _SHA256:
        raise WorkError(f"{_FILE.name}: the face detector is missing or damaged; install again", code="NO_MODULE")
    level = cv2.utils.logging.getLogLevel()
    # What it says of targets that it does not have concerns nobody.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        return cv2.FaceDetectorYN.create(str(_FILE), "", (_SIDE_PX, _SIDE_PX), _LEAST_SCORE, _OVERLAP, _MOST_FACES)
    finally:
        cv2.utils.logging.setLogLevel(level)
