"""Makes soft faces clearer, each by itself and nothing beside them.

What a face lost to blur is taken back as far as grain allows, and its features are raised a little: nothing is
invented, and sharp faces stay whole as they are. A network, where one is asked for, draws each face anew. Either way
light and shade over the face, its colour and its grain stay, and the edge of what changed is soft. What changed is
given back as a mask. Faces are found in each frame by itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from db.catalog.stages.invention import FaceParams
from workers import models
from workers.frames import Clip, Reel, Repaired
from workers.models.parts import face_detector
from workers.models.parts.face_detector import Face
from workers.ops import face_paste, planes
from workers.ops.planes import Plane, Planes

_CONTRAST = 0.5
_MARGIN_SHARE = 0.35
"""Of a face's side, what is looked at around it."""
_ACROSS, _DOWN = 0.62, 0.66
"""Half axes of the ellipse that is put back, of the box: brows, cheeks and chin."""
_LEAST_MASK = 1 / 255


def restore(
    window: Clip, start: int, stop: int, params: FaceParams, reel: Reel, network: nn.Module | None = None
) -> Repaired:
    """Return frames ``[start, stop)`` with clearer faces, and where they were changed."""
    out, changed = [], []
    for number in range(start, stop):
        picture, mask = _restore_picture(planes.from_frame(window.frame(number)), params, network)
        out.append(picture)
        changed.append(mask[None])
    return Repaired(planes.to_frames(out, window.frames), torch.from_numpy(np.stack(changed)).to(window.frames.device))


def _restore_picture(
    picture: Planes, params: FaceParams, network: nn.Module | None
) -> tuple[Planes, NDArray[np.bool_]]:
    out, mask = picture.copy(), np.zeros(picture.shape[1:], np.bool_)
    for face in face_detector.find_faces(picture, params.least_px):
        place = _place(face, picture.shape[1:])
        luma = planes.luma(out[:, *place])
        if network is None:
            clear = face_paste.clear_up(luma, face.side_px, _CONTRAST if params.contrast is None else params.contrast)
        else:
            clear = _draw_anew(out[:, *place], luma, face, place, network)
        if clear is None:
            continue
        soft = _soft_mask(face, place, luma.shape)
        out[:, *place] = planes.with_luma(out[:, *place], luma, luma + soft * (clear - luma))
        mask[place] |= soft > _LEAST_MASK
    return out, mask


def _draw_anew(
    picture: Planes, luma: Plane, face: Face, place: tuple[slice, slice], network: nn.Module
) -> Plane | None:
    """Return the luma of a face and what is around it as a network draws it; none where it cannot be set upright."""
    corner = np.array([place[1].start, place[0].start], np.float32)
    matrix = face_paste.alignment(face.points - corner)
    if matrix is None:
        return None
    upright = face_paste.cut_out(np.clip(picture, 0, 1), matrix)
    drawn = planes.from_frame(models.restore(network, torch.from_numpy(planes.to_rgb(upright))[None])[0])
    change = face_paste.change_of_network(planes.luma(upright), planes.luma(drawn), matrix, (*luma.shape,))
    return luma + change


def _place(face: Face, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of a face and what is around it, within the picture."""
    margin = _MARGIN_SHARE * face.side_px
    edges = (
        (face.top - margin, face.top + face.height + margin, shape[0]),
        (face.left - margin, face.left + face.width + margin, shape[1]),
    )
    rows, columns = (slice(max(0, math.floor(low)), min(length, math.ceil(high))) for low, high, length in edges)
    return rows, columns


def _soft_mask(face: Face, place: tuple[slice, slice], shape: tuple[int, ...]) -> Plane:
    """Return an ellipse over the face, turned as its eyes are."""
    middle = (face.left + face.width / 2 - place[1].start, face.top + face.height / 2 - place[0].start)
    across, down = face.points[1] - face.points[0]
    axes = (_ACROSS * face.width, _DOWN * face.height)
    degrees = math.degrees(math.atan2(float(down), float(across)))
    return face_paste.soft_ellipse((shape[0], shape[1]), middle, axes, degrees, face_paste.feather_px(face.side_px))
