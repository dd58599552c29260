"""Contact sheets: before, mask, after."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.restoration.films import Masks, Pictures

_GAP_PX = 6


def draw_sheet(
    before: Pictures, mask: Masks | None, after: Pictures, numbers: Sequence[int], height_px: int = 240
) -> NDArray[np.uint8]:
    """Return rows of frames ``numbers``: as they came, what was repaired in red, as they are; ``(H, W, 3)`` RGB."""
    rows = []
    for number in numbers:
        cells = [_draw(before[number], height_px), _draw(after[number], height_px)]
        if mask is not None:
            cells.insert(1, _draw(_paint(before[number], mask[number]), height_px))
        gap = np.full((height_px, _GAP_PX, 3), 255, np.uint8)
        rows.append(np.concatenate([part for cell in cells for part in (cell, gap)], axis=1))
    gap = np.full((_GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)])


def _paint(frame: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    picture = np.repeat(frame, 3, axis=0)[:3] * np.float32(0.6)
    picture[:, mask] = np.array([[1.0], [0.15], [0.1]], np.float32)
    return picture


def _draw(frame: NDArray[np.float32], height_px: int) -> NDArray[np.uint8]:
    picture = np.ascontiguousarray(np.broadcast_to(frame, (3, *frame.shape[1:])).transpose(1, 2, 0))
    size = (round(picture.shape[1] * height_px / picture.shape[0]), height_px)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
