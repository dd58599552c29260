"""Networks that spandrel reads and that make faces anew."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.models.parts.spandrel import SpandrelNetwork, from_sets, recognized_family

__all__ = ["from_sets", "recognized_family", "restore"]


def restore(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return faces ``(N, C, H, W)`` made anew, 0..1, of faces ``(N, C, H, W)`` float32 0..1 that were cut out upright.

    The networks know faces of 512 x 512; smaller pictures are extended. Grey is given thrice and the mean taken.
    """
    assert isinstance(network, SpandrelNetwork)
    device = next(network.parameters()).device
    outputs = torch.cat([network(face[None].float().expand(-1, 3, -1, -1).to(device)) for face in pictures])
    return outputs.mean(dim=1, keepdim=True) if pictures.shape[1] == 1 else outputs
