"""Whether a picture is still seen as what it is: a classifier's first choice on both.

The idea is of Zhang, Isola and Efros (2016): a network that knows colour photographs is asked what it sees in the
picture that was made. The classifier is SqueezeNet 1.0 (Iandola et al. 2016) with the names of torchvision's
``squeezenet1_0``. It takes BGR of 0..255 less ``(104, 117, 123)``, 227 pixels a side, stretched.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.ops import planes
from workers.ops.planes import Planes

Levels = NDArray[np.uint8]

SIDE_PX = 227
_MEAN_BGR = (104.0, 117.0, 123.0)


@torch.inference_mode()
def observe(pictures: Sequence[Planes], judge: nn.Module) -> list[int]:
    """Return the classifier's first choice (0 to 999) for each picture, whatever their sizes."""
    device = next(judge.parameters()).device
    levels = [planes.to_levels(planes.to_rgb(picture)) for picture in pictures]
    batch = torch.stack([_network_input(picture) for picture in levels]).to(device)
    return [int(choice) for choice in judge(batch).argmax(dim=1).cpu()]


def update(choice: int, reference: int) -> float:
    """Return whether the classifier sees the same in both: 1 or 0."""
    return float(choice == reference)


def compute(values: NDArray[np.float64]) -> float:
    """Return the share of pictures whose first choice equals that of the reference, 0..1."""
    return float(values.mean())


def _network_input(picture: Levels) -> Tensor:
    """Return what the classifier takes of an 8-bit sRGB picture ``(H, W, 3)``: BGR ``(3, 227, 227)`` less its mean."""
    if picture.shape[:2] != (SIDE_PX, SIDE_PX):
        shrinks = min(picture.shape[:2]) > SIDE_PX
        picture = np.asarray(
            cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    centered = picture[..., ::-1].astype(np.float32) - np.array(_MEAN_BGR, np.float32)
    return torch.from_numpy(centered.transpose(2, 0, 1).copy())
