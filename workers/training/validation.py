"""Figures of a network while it trains, on photographs that it has not seen.

They are quick looks at pictures of their own size; what a card says is measured by ``reelwright evaluate``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from workers.models.parts import lab_planes
from workers.ops import colorfulness, lab, likeness
from workers.ops import planes as plane_ops
from workers.ops.likeness import Levels
from workers.training.photos import Photos


@torch.inference_mode()
def colorizer_figures(chroma: Callable[[Tensor], Tensor], photos: Photos) -> dict[str, float]:
    """Mean PSNR, that of leaving pictures grey, and mean colorfulness (absolute form) of both."""
    rows = []
    for _, picture in photos:
        planes = lab_planes.to_unit_range(picture)
        output = to_levels(lab.merge_chroma(lab.lightness(planes), chroma(planes).float().cpu()))
        vividness = (colorfulness.absolute(plane_ops.from_levels(each)) for each in (output, picture))
        rows.append((likeness.psnr(output, picture), likeness.psnr(likeness.gray(picture), picture), *vividness))
    output_psnr, gray_psnr, output_colorfulness, true_colorfulness = np.mean(rows, axis=0).tolist()
    return {
        "psnr": output_psnr,
        "psnr_grey": gray_psnr,
        "colorfulness": output_colorfulness,
        "colorfulness_true": true_colorfulness,
    }


def to_levels(planes: Tensor) -> Levels:
    """Return a picture ``(H, W, 3)`` of ``(1, 3, H, W)`` 0..1, rounded."""
    return likeness.levels(planes[0].permute(1, 2, 0).numpy())
