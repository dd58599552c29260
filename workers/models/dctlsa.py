"""DCTLSA (Zeng and others, 2023), as spandrel draws it: an upscaler of attention within windows.

Shifted windows are not masked: at its edges the network sees a little of the opposite edge, which in a picture of
several tiles is the tile's. Nothing reaches further than some 40 pixels by as much as a level of 8 bits. Pictures that
are smaller than two windows are widened by their last pixels; grey goes through as three equal channels.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches

_BUILDS = {"dctlsa-x2": 2, "dctlsa-x4": 4}
_SMALLEST_PX = 16
"""Shifted windows want two of them."""


def build(name: str) -> nn.Module:
    """Return the network ``dctlsa-x2`` or ``dctlsa-x4``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name not in _BUILDS:
        raise ValueError(f"{', '.join(_BUILDS)} are the networks of this module, not {name}")
    from spandrel.architectures.DCTLSA import DCTLSA  # it brings several dozen networks along

    return cast(nn.Module, DCTLSA(upscale=_BUILDS[name])).eval()


def restore(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return pictures ``(N, C, H * scale, W * scale)`` for ``(N, C, H, W)`` float32 0..1, clipped to 0..1."""
    channels, height, width = pictures.shape[-3:]
    padding = (0, max(0, _SMALLEST_PX - width), 0, max(0, _SMALLEST_PX - height))
    wide = functional.pad(pictures.float().expand(-1, 3, -1, -1), padding, mode="replicate")
    output = batches.predict(network, [[one[None]] for one in wide], network).clamp(0, 1)
    scale = output.shape[-1] // wide.shape[-1]
    output = output[..., : height * scale, : width * scale]
    return output.mean(dim=1, keepdim=True) if channels == 1 else output
