"""Networks that spandrel reads and that fill in what a mask marks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.models.parts.spandrel import SpandrelNetwork, from_sets, recognized_family

__all__ = ["from_sets", "recognized_family", "restore"]


def restore(network: nn.Module, pictures: Tensor, *, holes: Tensor | None = None) -> Tensor:
    """Return pictures ``(N, C, H, W)``, 0..1, filled where ``holes`` (N, 1, H, W) bool says; without it nowhere.

    Grey is given thrice and the mean taken. What lies outside the holes need not come out as it was.
    """
    assert isinstance(network, SpandrelNetwork)
    device = next(network.parameters()).device
    marked = pictures.new_zeros((len(pictures), 1, *pictures.shape[-2:])) if holes is None else holes
    outputs = torch.cat(
        [
            network(picture[None].float().expand(-1, 3, -1, -1).to(device), mask[None].float().to(device))
            for picture, mask in zip(pictures, marked, strict=True)
        ]
    )
    return outputs.mean(dim=1, keepdim=True) if pictures.shape[1] == 1 else outputs
