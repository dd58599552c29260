"""Gives colour to black-and-white pictures, by a published network.

The network sees the picture at its own size and says a and b of CIE Lab; these are enlarged and join the lightness that
source has at full size and depth. Colour depends on the whole picture, so there are no tiles. Before they join, they
may be smoothed along lightness and kept below a limit: a tinted photograph instead of paint.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from db.catalog.architectures import ARCHITECTURES
from db.catalog.stages.color import ColorizeParams
from workers import models
from workers.frames import Clip, Reel
from workers.ops import cells, chroma, lab

Box = tuple[float, ...]


def restore(
    window: Clip,
    start: int,
    stop: int,
    params: ColorizeParams,
    reel: Reel,
    colorizer: nn.Module,
    detector: nn.Module | None = None,
) -> Tensor:
    """Return frames ``[start, stop)`` in colour, ``(T, 3, H, W)``; of a coloured source, as they are if so wished."""
    frames = window.part(start, stop).frames
    if reel.already_colored and params.already_colored == "keep":
        return frames

    def colorize_cell(pictures: Tensor) -> Tensor:
        return _colorize(pictures, params, reel, colorizer, detector)

    return cells.map_cells(frames.expand(-1, 3, -1, -1), reel.cell_frames, colorize_cell)


def _colorize(
    pictures: Tensor, params: ColorizeParams, reel: Reel, colorizer: nn.Module, detector: nn.Module | None
) -> Tensor:
    options = params.options | _boxes(pictures, params, reel, detector)
    colors = models.chroma(colorizer, pictures, **options).to(pictures.device, torch.float32)
    lightness = lab.lightness(pictures)
    return lab.merge_chroma(lightness, _soften(colors, lightness, *params.softening))


def _soften(colors: Tensor, lightness: Tensor, radius_px: int, limit: float) -> Tensor:
    """Return a and b ``(N, 2, h, w)`` smoothed along lightness ``(N, 1, H, W)``, and bent towards a limit."""
    if radius_px == limit == 0:
        return colors
    size = (colors.shape[-1], colors.shape[-2])
    softened = []
    for color, light in zip(colors.cpu().numpy(), lightness.cpu().numpy(), strict=True):
        guide = cv2.resize(light[0], size, interpolation=cv2.INTER_AREA)
        softened.append(chroma.bend(chroma.smooth(color, guide, radius_px), limit))
    return torch.from_numpy(np.stack(softened)).to(colors.device)


def _boxes(pictures: Tensor, params: ColorizeParams, reel: Reel, detector: nn.Module | None) -> dict[str, Any]:
    """Return the objects for a colorizer that asks for them: the recipe's, else the manifest's, else found ones."""
    if not ARCHITECTURES[params.card.architecture].takes_boxes or params.boxes is not None:
        return {}
    if reel.boxes:
        return {"boxes": list(reel.boxes)}
    return {"boxes": models.boxes(detector, pictures)} if detector is not None else {}
