"""Asks a network for the distance of two pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.ops import planes
from workers.ops.planes import Planes

LEAST_PX = 32


@torch.inference_mode()
def distance(network: nn.Module, one: Planes, other: Planes) -> float:
    """Return what a network says of two pictures ``(C, H, W)`` 0..1, given as RGB of -1..1.

    Raises:
        ValueError: A side has fewer than 32 pixels.
    """
    if min(*one.shape[1:], *other.shape[1:]) < LEAST_PX:
        raise ValueError(f"the distance wants at least {LEAST_PX} pixels a side")
    device = next(network.parameters()).device
    return float(network(_signed_tensor(one).to(device), _signed_tensor(other).to(device)).cpu())


def _signed_tensor(picture: Planes) -> Tensor:
    levels = planes.to_levels(planes.to_rgb(picture)).transpose(2, 0, 1)
    return torch.from_numpy(levels.astype("float32") / 127.5 - 1)[None]
