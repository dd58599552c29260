"""Enlarges the picture with a Lanczos kernel or by a network."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn

from db.catalog.stages.detail import UpscaleParams
from workers import models
from workers.frames import Clip, Reel
from workers.ops import cells, planes
from workers.ops.planes import Plane

_AROUND = np.ones((3, 3), np.uint8)


def restore(
    window: Clip, start: int, stop: int, params: UpscaleParams, reel: Reel, network: nn.Module | None = None
) -> torch.Tensor:
    """Return frames ``[start, stop)`` enlarged, ``(T, C, H * scale, W * scale)``."""
    if network is not None:
        upscaler, frames = network, window.part(start, stop).frames
        output = cells.map_cells(frames, reel.cell_frames, lambda pictures: models.restore(upscaler, pictures))
        return output.to(frames.device)
    pictures = (planes.from_frame(window.frame(number)) for number in range(start, stop))
    return planes.to_frames(
        [np.stack([_resize_lanczos(plane, params.scale) for plane in picture]) for picture in pictures], window.frames
    )


def _resize_lanczos(plane: Plane, factor: int) -> Plane:
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    large = cv2.resize(plane, size, interpolation=cv2.INTER_LANCZOS4)
    # The kernel overshoots beside edges; what no neighbour is as bright or dark as is no detail but ringing.
    low, high = cv2.erode(plane, _AROUND), cv2.dilate(plane, _AROUND)
    return np.clip(
        large,
        cv2.resize(low, size, interpolation=cv2.INTER_NEAREST),
        cv2.resize(high, size, interpolation=cv2.INTER_NEAREST),
    )
