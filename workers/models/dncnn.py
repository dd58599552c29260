"""DnCNN (Zhang, Zuo, Chen, Meng, Zhang 2017), as spandrel draws it: a denoiser for one level of noise.

The published grey networks have no batch normalization left: it is folded into the convolutions. Colour goes through
channel by channel.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from workers.models.parts import batches


def build(name: str) -> nn.Module:
    """Return the network ``dncnn``, grey, 17 layers: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "dncnn":
        raise ValueError(f"dncnn is the network of this module, not {name}")
    from spandrel.architectures.DnCNN import DnCNN  # it brings several dozen networks along

    # What it learned is the noise; the difference is taken here, so that keys are as published.
    return cast(nn.Module, DnCNN(act_mode="R").model).eval()


def restore(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return pictures ``(N, C, H, W)`` float32 0..1 without noise of the level that the weights were trained for."""
    planes = pictures.float().flatten(0, 1)[:, None]
    noise = batches.predict(network, [[plane[None]] for plane in planes], network)
    return pictures - noise.to(pictures.device).view_as(pictures)
