"""Photographs as planes, steps run over them as a job runs them over stills, and pages of them to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db import recipe as recipes
from workers import stages
from workers.frames import Clip
from workers.ops import planes
from workers.ops.planes import Planes

Mask = NDArray[np.bool_]
"""``(H, W)``."""
_GAP_PX = 6
_PAGE_PX = 1800
"""Width of a page."""


def read_photo(path: Path) -> Planes:
    """Return a photograph, as one plane where all channels are equal."""
    picture = planes.from_levels(np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]))
    return picture[:1] if (picture[:1] == picture).all() else picture


def color_photos(media: Path) -> list[Planes]:
    """Return the 22 colour photographs: 10 of Kodak's and 12 of Berkeley's."""
    folder = media / "photos_color"
    return [read_photo(path) for name in ("kodak", "cbsd") for path in sorted((folder / name).glob("*.png"))]


def restore_still(picture: Planes, text: str, mask: Mask | None = None) -> tuple[Planes, Mask]:
    """Return a picture after the steps of a recipe in YAML, and what the last of them repaired.

    Args:
        picture: ``(C, H, W)``.
        text: The recipe.
        mask: What the manifest would mark as damaged.
    """
    marked = None if mask is None else torch.from_numpy(mask)[None, None]
    clip = Clip(torch.from_numpy(np.ascontiguousarray(picture))[None], 0, (0,), marked)
    steps = recipes.parse(text, "measured").steps
    reel = stages.context_of(clip, steps)
    repaired = None
    for step in steps:
        frames, repaired = stages.repair(step, clip, 0, 1, reel)
        clip = clip.with_frames(frames)
    nothing = np.zeros(picture.shape[1:], np.bool_)
    return planes.from_frame(clip.frames[0]), nothing if repaired is None else repaired[0, 0].numpy()


def psnr_db(one: Planes, other: Planes, where: Mask | None = None) -> float:
    """Return the PSNR in dB of pictures of full scale 1, over all pixels or some."""
    squares = (np.clip(one, 0, 1) - other).astype(np.float64) ** 2
    return float(-10 * np.log10(max(1e-10, squares.mean() if where is None else squares[:, where].mean())))


def paint(picture: Planes, mask: Mask) -> Planes:
    """Return the picture, darkened, with the mask in red."""
    painted = planes.to_rgb(picture) * np.float32(0.6)
    painted[:, mask] = np.array([[1.0], [0.15], [0.1]], np.float32)
    return painted


def draw_page(groups: Iterable[Sequence[Planes]], height_px: int = 240) -> NDArray[np.uint8]:
    """Return groups of pictures side by side, as many to a line as there is room for; ``(H, W, 3)`` RGB."""
    lines: list[list[NDArray[np.uint8]]] = [[]]
    for group in groups:
        cell = np.concatenate([_draw(picture, height_px) for picture in group], axis=1)
        cell = np.pad(cell, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255)
        if lines[-1] and sum(each.shape[1] for each in lines[-1]) + cell.shape[1] > _PAGE_PX:
            lines.append([])
        lines[-1].append(cell)
    joined = [np.concatenate(line, axis=1) for line in lines]
    width = max(line.shape[1] for line in joined)
    return np.concatenate(
        [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in joined]
    )


def _draw(picture: Planes, height_px: int) -> NDArray[np.uint8]:
    size = (max(1, round(picture.shape[2] * height_px / picture.shape[1])), height_px)
    way = cv2.INTER_AREA if height_px < picture.shape[1] else cv2.INTER_CUBIC
    return planes.to_levels(
        np.stack([cv2.resize(np.ascontiguousarray(p), size, interpolation=way) for p in planes.to_rgb(picture)])
    )
