"""Figures of a network while it trains, on photographs that it has not seen.

They are quick looks at pictures of their own size; what a card says is measured by ``reelwright evaluate``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from workers.models.parts import lab_planes
from workers.on_demand.evaluation.measures import colour, likeness
from workers.on_demand.evaluation.measures.likeness import Levels
from workers.ops import lab
from workers.training.photos import Photos


@torch.inference_mode()
def colorizer(chroma: Callable[[Tensor], Tensor], photos: Photos) -> dict[str, float]:
    """Mean PSNR, that of leaving pictures grey, and mean colorfulness (absolute form) of both."""
    rows = []
    for _, picture in photos:
        planes = lab_planes.unit_range(picture)
        coloured = levels(lab.joined(lab.lightness(planes), chroma(planes).float().cpu()))
        colours = (colour.colorfulness(each, "absolute") for each in (coloured, picture))
        rows.append((likeness.psnr(coloured, picture), likeness.psnr(likeness.grey(picture), picture), *colours))
    own, floor, made, true = np.mean(rows, axis=0).tolist()
    return {"psnr": own, "psnr_grey": floor, "colorfulness": made, "colorfulness_true": true}


def levels(planes: Tensor) -> Levels:
    """Return a picture ``(H, W, 3)`` of ``(1, 3, H, W)`` 0..1, rounded."""
    return likeness.levels(planes[0].permute(1, 2, 0).numpy())
