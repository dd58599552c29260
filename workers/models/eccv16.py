"""Colour by classification into 313 bins of ab, whose mean is taken.

Colorful Image Colorization (Zhang, Isola and Efros, 2016), in its authors' later release.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.models.parts import batches, lab_planes
from workers.models.parts.conv_groups import doubling, group
from workers.ops.resample import Bytes

_SIDE_PX = 256
_BINS = 313
_L_MIDDLE, _L_SCALE, _AB_SCALE = 50, 100, 110


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return the network ``eccv16``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "eccv16":
        raise ValueError(f"eccv16 is the network of this module, not {name}")
    return Eccv16().eval()


def chroma(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, 256, 256)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1."""
    return _ab(network, lab_planes.to_eight_bit(pictures))


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the published program makes of one, at its own size."""
    return lab_planes.merge_chroma(picture, _ab(network, [picture]).cpu())


def _ab(network: nn.Module, pictures: Sequence[Bytes]) -> Tensor:
    lights = [[lab_planes.square_lightness(picture, _SIDE_PX, "bicubic")] for picture in pictures]
    return batches.predict(network, lights, network)


# -- the network


class Eccv16(nn.Module):
    """Eight groups down to an eighth of the size and back to a quarter; bins' shares become ab by a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.model1 = group(1, 64, 2, last_stride=2)
        self.model2 = group(64, 128, 2, last_stride=2)
        self.model3 = group(128, 256, 3, last_stride=2)
        self.model4 = group(256, 512, 3)
        self.model5 = group(512, 512, 3, dilation=2)
        self.model6 = group(512, 512, 3, dilation=2)
        self.model7 = group(512, 512, 3)
        self.model8 = _bin_layers()
        self.model_out = nn.Conv2d(_BINS, 2, 1, bias=False)

    def forward(self, light: Tensor) -> Tensor:
        """Return ab ``(N, 2, H, W)`` in units of Lab for L ``(N, 1, H, W)`` 0..100; sides rise to multiples of 8."""
        x = (light - _L_MIDDLE) / _L_SCALE
        for number in range(1, 9):
            x = self.get_submodule(f"model{number}")(x)
        ab: Tensor = self.model_out(x.softmax(dim=1))
        return _AB_SCALE * nn.functional.interpolate(ab, scale_factor=4, mode="bilinear", align_corners=False)


def _bin_layers() -> nn.Sequential:
    layers: list[nn.Module] = [doubling(512, 256), nn.ReLU(inplace=True)]
    for _ in range(2):
        layers += [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(256, _BINS, 1))
