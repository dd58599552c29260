"""Colour that follows hints: points whose colour is given.

Real-Time User-Guided Image Colorization with Learned Deep Priors (Zhang and others, 2017), in its
authors' later release.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.models.parts import batches, lab_planes
from workers.models.parts.user_guided import AB_SCALE, L_MIDDLE, L_SCALE, SIDE_PX, UserGuided
from workers.ops import lab
from workers.ops.resample import Bytes

Hint = Sequence[float]
"""``(x, y, red, green, blue)`` or ``(x, y, red, green, blue, radius)``.

x and y are pixels of the picture as it comes in, the colour is sRGB 0..255; with a radius, in pixels of the network's
256 x 256, the hint fills the square of that reach around its pixel. A later hint covers an earlier one.
"""


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return the network ``siggraph17``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "siggraph17":
        raise ValueError(f"siggraph17 is the network of this module, not {name}")
    return Siggraph17().eval()


def chroma(network: nn.Module, pictures: Tensor, *, hints: Sequence[Hint] = ()) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, 256, 256)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1.

    Args:
        network: What ``build`` returns.
        pictures: Any size; their colour is not looked at.
        hints: Points whose colour is given; the same in every picture.

    Raises:
        ValueError: A hint lies outside of the picture or is none.
    """
    return _ab(network, lab_planes.to_eight_bit(pictures), hints)


@torch.inference_mode()
def reference_output(network: nn.Module, picture: Bytes, *, hints: Sequence[Hint] = ()) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the published program makes of one, at its own size.

    Raises:
        ValueError: A hint lies outside of the picture or is none.
    """
    return lab_planes.merge_chroma(picture, _ab(network, [picture], hints).cpu())


def _ab(network: nn.Module, pictures: Sequence[Bytes], hints: Sequence[Hint]) -> Tensor:
    inputs = [
        (lab_planes.square_lightness(picture, SIDE_PX, "bicubic"), *hint_planes(hints, *picture.shape[:2]))
        for picture in pictures
    ]
    return batches.predict(network, inputs, network)


# -- hints


def hint_planes(hints: Sequence[Hint], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the hints' ab ``(1, 2, 256, 256)`` in units of Lab and where they are, ``(1, 1, 256, 256)`` 0 or 1.

    Raises:
        ValueError: A hint lies outside of a picture ``height`` x ``width`` or is none.
    """
    ab, mask = torch.zeros(1, 2, SIDE_PX, SIDE_PX), torch.zeros(1, 1, SIDE_PX, SIDE_PX)
    for hint in hints:
        rows, columns = _hint_square(hint, height, width)
        color = torch.tensor(list(hint[2:5]), dtype=torch.float64).view(1, 3, 1, 1) / 255
        ab[..., rows, columns] = lab.rgb_to_lab(color)[:, 1:].float()
        mask[..., rows, columns] = 1
    return ab, mask


def _hint_square(hint: Hint, height: int, width: int) -> tuple[slice, slice]:
    if len(hint) not in (5, 6):
        raise ValueError(f"a hint is x, y, red, green, blue and perhaps a radius, not {tuple(hint)}")
    x, y, *color, radius = (*hint, 0) if len(hint) == 5 else hint
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"a hint at x {x}, y {y} is outside of a picture {width} wide and {height} high")
    if not (all(0 <= level <= 255 for level in color) and radius >= 0):
        raise ValueError(f"a hint's colour is 0 to 255 and its radius not negative: {tuple(hint)}")
    return _reach_slice(y / height, int(radius)), _reach_slice(x / width, int(radius))


def _reach_slice(share: float, radius: int) -> slice:
    middle = int(share * SIDE_PX)
    return slice(max(0, middle - radius), middle + radius + 1)


# -- the network


class Siggraph17(UserGuided):
    """The U-Net in units of Lab. ``model_class``, left over from its training, takes no part."""

    def forward(self, light: Tensor, ab: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return ab ``(N, 2, H, W)`` in units of Lab.

        Args:
            light: L ``(N, 1, H, W)``, 0..100, sides multiples of 8.
            ab: Of the hints ``(N, 2, H, W)``, in units of Lab, 0 where there is none; None is no hint at all.
            mask: Where the hints are ``(N, 1, H, W)``, 1 there and 0 elsewhere; None is no hint at all.
        """
        ab = torch.cat([torch.zeros_like(light)] * 2, dim=1) if ab is None else ab
        mask = torch.zeros_like(light) if mask is None else mask
        x = torch.cat([(light - L_MIDDLE) / L_SCALE, ab / AB_SCALE, mask], dim=1)
        return AB_SCALE * self.run(x, lambda _, feature_map: feature_map)
